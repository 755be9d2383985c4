"""What is known of the built-in blocks without importing them: ``blocks.json``, made of them and beside this file.

It notes the digest of every source file that blocks are written in. Where a file has another, because somebody has
edited a block, the index is not used, and one made anew is kept in the cache folder. The shipped one is written by
``python -m linksim.core.registry``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pydantic

from linksim.core import options
from linksim.core.errors import StoreError
from linksim.core.files import cache_folder, write_atomically

FOLDERS = ("backbone", "blocks", "bounds", "metrics", "retrieval")
"""Where built-in blocks, and the options that they share, are."""

SHIPPED = Path(__file__).with_name("blocks.json")

_PACKAGE = Path(__file__).parents[1]
_READERS = ("core/block_index.py", "core/options.py", "core/types.py")
"""What the index is made with."""

Requirement = Callable[[dict[str, Any], Any, Any], None]
"""A function of a block's options, a scenario and a method, see `linksim.core.registry.register`."""


@dataclass(frozen=True)
class BlockSpec:
    """What is known of a block without importing it.

    :param doc: the whole docstring.
    :param source: ``module:Class`` of a built-in block, the file of a plugged-in one.
    :param fields: its options.
    :param min_history: history samples it needs; each option named in ``history_per_option`` adds its value
        times the factor given there.
    :param requires: what else it needs of a scenario, see `linksim.core.registry.register`; ``module:function`` of a
        built-in block.
    :param facts: what only its kind has; functions are ``module:function`` in a built-in block.
    """

    kind: str
    name: str
    doc: str
    source: str
    fields: options.Fields
    min_history: int = 1
    history_per_option: dict[str, int] = field(default_factory=dict)
    trains: bool = False
    requires: str | Requirement | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def options(self) -> type[pydantic.BaseModel]:
        """Checks options and fills in defaults."""
        return options.model_of(self.name, self.fields)

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.doc.partition("\n")[0]

    def required_history(self, options: dict[str, Any]) -> int:
        """History samples needed with these (validated) options."""
        return self.min_history + sum(
            factor * int(options[name] or 0) for name, factor in self.history_per_option.items()
        )

    def check_requirement(self, options: dict[str, Any], scenario: Any, method: Any = None) -> None:
        """Whether a scenario gives the block what it needs.

        :param options: validated ones.
        :param scenario: at one sweep point.
        :param method: the one that names the block; None for ``link.precoder``.
        :raises ScenarioError: it does not; says what is needed and the fix.
        """
        if self.requires is not None:
            function_of(self.requires)(options, scenario, method)


def function_of(reference: str | Callable[..., Any]) -> Callable[..., Any]:
    """A function, or the one that ``module:function`` names."""
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def plain(facts: Any) -> Any:
    """As the index has them: functions by their names.

    :raises TypeError: something that JSON has no form for.
    """
    return json.loads(json.dumps(facts, default=_reference))


def _reference(function: Any) -> str:
    if not callable(function) or not hasattr(function, "__qualname__") or "<" in function.__qualname__:
        raise TypeError(f"{function!r} is neither plain data nor a function of a module")
    return f"{function.__module__}:{function.__qualname__}"


def read() -> list[BlockSpec] | None:
    """The index, shipped or kept, that is of the sources as they are; None if there is none."""
    sources = _sources()
    return _read(SHIPPED, sources) or _read(_kept(), sources)


def _read(path: Path, sources: dict[str, str]) -> list[BlockSpec] | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(path.read_bytes())
        if found["sources"] == sources:
            return [BlockSpec(**block | {"fields": options.from_json(block["fields"])}) for block in found["blocks"]]
    return None


def keep(blocks: list[BlockSpec]) -> None:
    """For the next time, if the cache folder can be written.

    :raises TypeError: as `content`.
    """
    with contextlib.suppress(StoreError):
        write_atomically(_kept(), content(blocks))


def content(blocks: list[BlockSpec]) -> bytes:
    """Content of the index: a line for each source and block, so that changes to two of them can be merged.

    :raises TypeError: a type that the index has no form for; names block and option.
    """
    sources = ",\n".join(f"{json.dumps(name)}: {json.dumps(digest)}" for name, digest in _sources().items())
    lines = ",\n".join(json.dumps(_entry(block), ensure_ascii=False) for block in blocks)
    return f'{{"sources": {{\n{sources}\n}}, "blocks": [\n{lines}\n]}}\n'.encode()


def _entry(block: BlockSpec) -> dict[str, Any]:
    try:
        return {field.name: getattr(block, field.name) for field in fields(block)} | {
            "fields": options.to_json(block.fields)}
    except TypeError as error:
        raise TypeError(f"{block.kind} {block.name!r} ({block.source}): {error}") from None


def modules() -> list[str]:
    """All that blocks can be in."""
    names = (Path("linksim", path.relative_to(_PACKAGE)).with_suffix("").parts for path in _files())
    return [".".join(parts).removesuffix(".__init__") for parts in names]


def _files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (_PACKAGE / folder).rglob("[!.]*.py"))  # no editor's traces


def _sources() -> dict[str, str]:
    """Digests of the sources, the same however the lines of a checkout end."""
    return {path.relative_to(_PACKAGE).as_posix():
            hashlib.blake2b(path.read_bytes().replace(b"\r\n", b"\n"), digest_size=6).hexdigest()
            for path in [*_files(), *(_PACKAGE / name for name in _READERS)]}


def _kept() -> Path:
    """One for each place where linksim is."""
    return cache_folder() / f"blocks-{hashlib.blake2b(str(_PACKAGE).encode(), digest_size=6).hexdigest()}.json"
