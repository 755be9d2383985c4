"""Blocks by kind and name: `register` adds one, `catalogue` lists them, `create` builds one.

A block is known once its module is imported; what the built-in ones are is read from an index made of them
(`linksim.core.block_index`): listing and validating need no torch, and a block's options and defaults are written once,
in its constructor.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from linksim.core import block_index
from linksim.core import options as constructors
from linksim.core.block_index import BlockSpec, Requirement, function_of
from linksim.core.errors import ScenarioError
from linksim.core.files import write_atomically
from linksim.core.heartbeat import doing
from linksim.core.messages import describe, nearest, other_kinds, suggestion
from linksim.core.printing import write

__all__ = [
    "KINDS", "BlockSpec", "block_class", "catalogue", "create", "find", "function_of", "nearest", "register",
    "unreadable", "validate_options",
]

KINDS = ("predictor", "precoder", "feedback", "semantic", "universal", "metric", "bound", "channel_source",
         "cir_source", "retrieval_data")
"""What a scenario can name: blocks of the chain, measures, physical limits, sources of channels and of channel impulse
responses (plugins alone), and data sets for retrieval (`linksim.retrieval.data.RetrievalData`)."""

Made = TypeVar("Made", bound=Callable[..., Any])

_DATA_SETS = "studies/data_sets/"
_PLUGINS = {"retrieval_data": {
    "clotho": f"{_DATA_SETS}clotho.py", "kit_motion": f"{_DATA_SETS}kit_motion.py", "stamps": f"{_DATA_SETS}stamps.py",
    **dict.fromkeys(("cuhk_pedes", "rstpreid", "icfg_pedes"), f"{_DATA_SETS}photographed_persons.py")}}
"""Blocks that were built in, by kind and name: where they are now."""

_registered: dict[tuple[str, str], tuple[BlockSpec, Any]] = {}
"""Blocks whose modules have been imported, plugged in or built in, and their classes."""

_unreadable: dict[str, str] = {}
"""Modules of built-in blocks that cannot be imported, and why; and why the index cannot be kept."""


def register(kind: str, name: str, *, min_history: int = 1, history_per_option: dict[str, int] | None = None,
             trains: bool = False, requires: Requirement | None = None, **facts: Any) -> Callable[[Made], Made]:
    """Class decorator that makes a block available to scenario files under ``name``.

    A source may also be a function: its arguments are the options, its result is the source. A metric is one, whose
    arguments are data; it has no options.

    :param kind: one of `KINDS`.
    :param name: what the scenario file says.
    :param min_history: fewest history samples the block works with.
    :param history_per_option: extra samples per unit of a constructor option, e.g. ``{"order": 2}``.
    :param trains: the block is fitted on training drops before a run.
    :param requires: a function of the block's options, the scenario and the method that raises a
        `linksim.ScenarioError` where the block cannot work there (too few antennas or tones, sizes that do not divide,
        …). It is called when a scenario is validated, at every sweep point, before anything is built. That of a
        built-in block is imported from a module without torch, ``requirements`` beside it.
    :param facts: what only blocks of this kind have: a metric's unit, say.
    :raises ValueError: unknown kind, a name that is taken, or a class that is no torch module.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of block {kind!r}: one of {', '.join(KINDS)}")

    def decorate(made: Any) -> Any:
        made.block_name = name
        built_in = made.__module__.startswith("linksim.")
        source = f"{made.__module__}:{made.__qualname__}" if built_in else _file_of(made)
        # the same file again is an edit (a notebook's cell, a plugin changed on disk); another one is a clash
        before = _registered[kind, name][0] if (kind, name) in _registered else None
        if before is None and not built_in:
            before = _built_in().get((kind, name))
        if before is not None and before.source != source:
            raise ValueError(f"there is already a {kind} {name!r} ({before.source}): choose another name")
        needed, known = (block_index.plain(requires), block_index.plain(facts)) if built_in else (requires, facts)
        fields = constructors.fields_of(made) if isinstance(made, type) or kind.endswith("_source") else {}
        spec = BlockSpec(kind, name, constructors.documentation(made, fields), source, fields, min_history,
                         dict(history_per_option or {}), trains, needed, known)
        if not built_in:
            _ = spec.options  # a type that pydantic does not know is said here, with the plugin's line
        _registered[kind, name] = spec, made
        return made

    return decorate


@cache
def _built_in() -> dict[tuple[str, str], BlockSpec]:
    specs = block_index.read()
    if specs is None:
        specs = _imported()
        if not _unreadable:
            try:
                block_index.keep(specs)
            except TypeError as error:
                _unreadable["index"] = str(error)
    return {(spec.kind, spec.name): spec for spec in specs}


def _imported() -> list[BlockSpec]:
    """Every built-in block, by kind and name, after all modules that they can be in are imported."""
    _unreadable.clear()
    with doing("reading the blocks, of which some are new"):
        for module in block_index.modules():
            try:
                import_module(module)
            except Exception as error:  # whatever its author's code raises
                _unreadable[module] = _place_and_reason(error)
    specs = {key: spec for key, (spec, made) in _registered.items() if made.__module__.startswith("linksim.")}
    return [spec for _, spec in sorted(specs.items())]


def _place_and_reason(error: Exception) -> str:
    """In one line: the last line of linksim that an exception went through, its core left out, and what it is."""
    package = Path(__file__).parents[1]
    places = [("linksim", 0), *((frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__))]
    said = str(error)
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
        said = error.msg
    own = [place for place in places if {package, package / "core"} & {*Path(place[0]).parents} == {package}]
    file, line = (own or places)[-1]
    return " ".join(f"{file}:{line}: {type(error).__name__}: {said}".split())


def unreadable() -> list[str]:
    """Why some built-in blocks are not known, or are found slowly: each reason once."""
    _built_in()
    return list(dict.fromkeys(_unreadable.values()))


def catalogue(kind: str | None = None) -> list[BlockSpec]:
    """Every known block (of one kind), built in and plugged in, by kind and name."""
    specs = {**_built_in(), **{key: spec for key, (spec, _) in _registered.items()}}
    return [spec for (k, _), spec in sorted(specs.items()) if kind in (None, k)]


def find(kind: str, name: str) -> BlockSpec:
    """The block of that name.

    :raises ScenarioError: no such block; names the nearest one.
    """
    spec = _registered[kind, name][0] if (kind, name) in _registered else _built_in().get((kind, name))
    if spec is None:
        if name in _PLUGINS.get(kind, {}):
            raise ScenarioError(f"{kind} {name!r} is a plugin: write plugins: [{_PLUGINS[kind][name]}] (the path from "
                                "the scenario file to linksim's checkout)")
        near = nearest(name, [other.name for other in catalogue(kind)])
        broken = "".join(f"; not all blocks can be read: {reason}" for reason in unreadable())
        raise ScenarioError(f"unknown {kind} {name!r}: did you mean {near!r}? (`linksim blocks` lists all){broken}")
    return spec


def validate_options(spec: BlockSpec, options: dict[str, Any]) -> dict[str, Any]:
    """The block's options with types checked and defaults filled in.

    :raises ScenarioError: unknown option or a value out of range.
    """
    for option in options:
        if option not in spec.options.model_fields:
            raise ScenarioError(f"{spec.kind} {spec.name!r} has no option {option!r}: "
                                + suggestion(str(option), spec.options.model_fields))
    try:
        checked = spec.options.model_validate(options).model_dump()
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ScenarioError(f"{spec.kind} {spec.name!r}, option {first['loc'][0]!r}: {describe(first)}") from None
    for place, message in other_kinds(options, checked):
        raise ScenarioError(f"{spec.kind} {spec.name!r}, option {place[0]!r}: {message}")
    return checked


def create(kind: str, name: str, options: dict[str, Any] | None = None) -> Any:
    """Build a block with validated options.

    :raises ScenarioError: unknown block or option.
    """
    values = validate_options(find(kind, name), options or {})
    return constructors.construct(block_class(kind, name), values)


def block_class(kind: str, name: str) -> Any:
    """The class that `create` makes a block of (a function where a ``cir_source`` is one).

    :raises ScenarioError: unknown block.
    """
    spec = find(kind, name)
    return _registered[kind, name][1] if (kind, name) in _registered else function_of(spec.source)


def _file_of(made: Callable[..., Any]) -> str:
    """The file of a class or function, or its module where there is none (a notebook)."""
    try:
        return inspect.getsourcefile(made) or made.__module__
    except (TypeError, OSError):
        return made.__module__


def write_shipped_index() -> int:
    """Make the index of the built-in blocks anew, as it is shipped.

    :returns: 0, or 2 where a module cannot be imported, or an option cannot be kept.
    """
    try:
        index = block_index.content(_imported())
    except TypeError as error:
        index, problems = b"", [str(error)]
    else:
        problems = list(dict.fromkeys(_unreadable.values()))
    if problems:
        write(*(f"error: {problem}" for problem in problems), to_stderr=True)
        return 2
    write(str(write_atomically(block_index.SHIPPED, index)))
    return 0


if __name__ == "__main__":  # blocks register with the imported module, not with this copy of it
    sys.exit(import_module("linksim.core.registry").write_shipped_index())
