"""The text of a scenario file as data, with the line of every key, so that each fault can name its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from linksim.errors import ScenarioError

Place = tuple[str | int, ...]
"""A key's path in the data: names, and numbers for the items of lists."""


@dataclass(frozen=True)
class Source:
    """Where the values of a scenario come from.

    :param name: the file, for messages.
    :param lines: line in the file by place; a text instead (``--set``) for what came from elsewhere.
    """

    name: str = "scenario"
    lines: dict[Place, int | str] = field(default_factory=dict)

    def cite(self, place: Iterable[Any]) -> str:
        """``file:line: key`` of a place; the line of the nearest enclosing key where it has none itself."""
        place = tuple(place)
        known = next((place[:end] for end in range(len(place), 0, -1) if place[:end] in self.lines), None)
        line = self.lines[known] if known else None
        where = f"{self.name}:{line}" if isinstance(line, int) else line or self.name
        return f"{where}: {dotted(place)}" if place else where

    def overridden(self, place: Place, by: str) -> Source:
        """The same with one place, all below it, and what it adds above it, set by something other than the file."""
        kept = {at: line for at, line in self.lines.items() if at[: len(place)] != place}
        added = {place[:end]: by for end in range(1, len(place) + 1) if place[:end] not in kept}
        return Source(self.name, {**kept, **added})


def dotted(place: Iterable[Any]) -> str:
    """A place as users write it: ``channel.speed_kmh``."""
    return ".".join(str(part) for part in place)


def read_text(path: Path) -> str:
    """The file's text.

    :raises ScenarioError: missing or unreadable; names the nearest file.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError(f"{path}: no such scenario file{_near_file(path)}") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def parse(text: str, path: Path) -> tuple[dict[str, Any], Source]:
    """YAML as data and places.

    :raises ScenarioError: not YAML, not a mapping, a key given twice.
    """
    lines: dict[Place, int | str] = {}
    try:
        _walk(yaml.compose(text, Loader=yaml.SafeLoader), (), lines, path)
        data = yaml.safe_load(text)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ScenarioError(f"{path}:{line}: {error.reason}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        raise ScenarioError(f"{path}:{mark.line + 1}: {problem}" if mark else f"{path}: {problem}") from None
    except ValueError as error:  # a date or number that YAML recognises and Python cannot hold
        raise ScenarioError(f"{path}: {error}; put texts that look like a date or number in quotes") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{path}: a scenario is a mapping of keys to values; see `linksim schema`")
    return data, Source(str(path), lines)


def _walk(node: yaml.Node | None, at: Place, lines: dict[Place, int | str], path: Path,
          parents: tuple[yaml.Node, ...] = ()) -> None:
    if any(node is parent for parent in parents):
        raise ScenarioError(f"{path}:{node.start_mark.line + 1}: {dotted(at)} contains itself")
    parents = (*parents, node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ScenarioError(f"{path}:{line}: a key is a plain text, not a list or mapping")
            here = (*at, key.value)
            if here in lines:
                raise ScenarioError(f"{path}:{line}: {dotted(here)}: given twice (first in line {lines[here]})")
            lines[here] = line
            _walk(value, here, lines, path, parents)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*at, index)] = value.start_mark.line + 1
            _walk(value, (*at, index), lines, path, parents)


def _near_file(path: Path) -> str:
    from linksim.faults import nearest

    folder = path.parent if path.parent.is_dir() else Path("scenarios")
    names = [file.name for file in folder.glob("*.y*ml")] if folder.is_dir() else []
    return f": did you mean {folder / nearest(path.name, names)}?" if names else ""
