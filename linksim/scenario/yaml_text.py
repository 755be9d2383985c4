"""YAML text as data, with the line of every key: the core schema of YAML 1.2, and never more than fits a scenario.

030 is thirty, 5e-1 a number, and 1:30, 1_000, yes and 2024-01-01 are texts, as in the core schema (YAML 1.2.2, section
10.3.2); PyYAML's own rules are those of YAML 1.1. Merge keys (``<<``) are understood beyond it. Size, depth and number
of values are bounded, the last with every alias counted where it stands: before anything is built of them.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""A key's path in the data: names, and numbers for the items of lists."""

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 50
MAX_VALUES = 20_000
"""Values of a text, keys not counted; those behind an alias count wherever it stands."""

_MAX_DIGITS = 18
_TAG = "tag:yaml.org,2002:"
_RULES = {  # name: pattern, characters that it may begin with
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
              list("-+0123456789.")),
    "merge": (r"<<", ["<"]),
}
_PATTERNS = {name: re.compile(rf"(?:{pattern})\Z") for name, (pattern, _) in _RULES.items()}
_KINDS = {"null": "nothing", "bool": "true or false", "int": "a whole number", "float": "a number"}


class YamlFault(Exception):
    """What is wrong with a text.

    :ivar line: where, from 1; None where the whole text is meant.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class _Composer(yaml.SafeLoader):
    """Texts to nodes; nothing is constructed."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - none of YAML 1.1; filled below
    _depth = _count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self._depth == MAX_DEPTH:
            raise self._fault(f"nested more than {MAX_DEPTH} deep")
        if self._count == 2 * MAX_VALUES:  # with the keys
            raise self._fault(f"more than {MAX_VALUES} values")
        self._depth += 1
        self._count += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _fault(self, what: str) -> YamlFault:
        """A fault at the next node."""
        return YamlFault(what, yaml.SafeLoader.peek_event(self).start_mark.line + 1)


for _name, (_, _first) in _RULES.items():
    _Composer.add_implicit_resolver(_TAG + _name, _PATTERNS[_name], _first)


def data_of(text: str) -> tuple[Any, dict[Place, int]]:
    """The data of a YAML text, and the line of every key and item by its place.

    :raises YamlFault: not YAML, a key given twice, more than fits.
    """
    if len(text) > MAX_CHARACTERS:
        raise YamlFault(f"more than {MAX_CHARACTERS} characters")
    try:
        node = yaml.compose(text, Loader=_Composer)
    except yaml.reader.ReaderError as error:
        raise YamlFault(error.reason, text[: error.position].count("\n") + 1) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise YamlFault(error.problem or "not YAML", mark.line + 1 if mark else None) from None
    except yaml.YAMLError:
        raise YamlFault("not YAML") from None
    except (ValueError, OverflowError):  # an escaped character that is none, a version of a thousand digits
        raise YamlFault("not YAML: a number in an escape or directive is too large") from None
    builder = _Builder()
    return (None if node is None else builder.built(node, (), ())), builder.lines


class _Builder:
    """Nodes to values."""

    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self._count = 0

    def built(self, node: yaml.Node, at: Place, parents: tuple[yaml.Node, ...]) -> Any:
        """The value of a node that stands at a place, within others."""
        self._enter(node, at, parents)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        inside = (*parents, node)
        if isinstance(node, yaml.MappingNode):
            values = {}
            for key, (line, value) in self._pairs(node, at, parents).items():
                self.lines[(*at, key)] = line
                values[key] = self.built(value, (*at, key), inside)
            return values
        _check_tag(node, "seq")
        items = []
        for index, item in enumerate(node.value):
            self.lines[(*at, index)] = item.start_mark.line + 1
            items.append(self.built(item, (*at, index), inside))
        return items

    def _pairs(self, node: yaml.MappingNode, at: Place, parents: tuple[yaml.Node, ...]
               ) -> dict[str, tuple[int, yaml.Node]]:
        """Keys with their lines and values, those of merged mappings behind its own."""
        _check_tag(node, "map")
        own: dict[str, tuple[int, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlFault("a key is a plain text, not a list or mapping", line)
            if key.tag == f"{_TAG}merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            name = _scalar(key)
            if not isinstance(name, str):
                raise YamlFault(f"{'.'.join(map(str, (*at, key.value)))}: a text as key needed (given {key.value}): "
                                "put it in quotes", line)
            if name in own:
                raise YamlFault(f"{'.'.join(map(str, (*at, name)))}: given twice (first in line {own[name][0]})", line)
            own[name] = line, value
        for other in merged:
            if not isinstance(other, yaml.MappingNode):
                raise YamlFault("<<: a mapping, or a list of mappings, needed", other.start_mark.line + 1)
            self._enter(other, (*at, "<<"), (*parents, node))
            own = {**self._pairs(other, at, (*parents, node)), **own}
        return own

    def _enter(self, node: yaml.Node, at: Place, parents: tuple[yaml.Node, ...]) -> None:
        line = node.start_mark.line + 1
        if any(node is parent for parent in parents):
            raise YamlFault(f"{'.'.join(map(str, at))} contains itself", line)
        if len(parents) > MAX_DEPTH:
            raise YamlFault(f"nested more than {MAX_DEPTH} deep, aliases followed", line)
        self._count += 1
        if self._count > MAX_VALUES:
            raise YamlFault(f"more than {MAX_VALUES} values, aliases followed", line)


def _check_tag(node: yaml.Node, expected: str) -> None:
    if node.tag != _TAG + expected:
        raise YamlFault(f"unknown tag {node.tag.replace(_TAG, '!!')}: leave it out", node.start_mark.line + 1)


def _scalar(node: yaml.ScalarNode) -> Any:
    """The value of a single text by its tag, as written or as the core schema sees it."""
    kind, text, line = node.tag.removeprefix(_TAG), node.value, node.start_mark.line + 1
    if kind in ("str", "merge"):
        return text
    if kind not in _KINDS:
        _check_tag(node, "str")
    if not _PATTERNS[kind].match(text):
        raise YamlFault(f"{node.tag.replace(_TAG, '!!')}: {_KINDS[kind]} needed (given {text[:40]!r})", line)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int" and len(text.lstrip("+-0")) > _MAX_DIGITS:
        raise YamlFault(f"a number of {len(text)} digits is too large", line)
    if kind == "int":
        return int(text[2:], 8) if text[:2] == "0o" else int(text, 16) if text[:2] == "0x" else int(text)
    value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if math.isinf(value) and "inf" not in text.lower():
        raise YamlFault(f"the number {text[:40]} is too large", line)
    return value
