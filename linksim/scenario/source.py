"""The text of a scenario file as data, with the line of every key, so that each fault can name its place."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linksim.core.errors import ScenarioError
from linksim.core.shipped import shipped_scenarios
from linksim.scenario.yaml_text import MAX_CHARACTERS, Place, YamlFault, data_of


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

    :raises ScenarioError: missing, unreadable, no file at all, too large, or not UTF-8; names the nearest file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe that nobody writes to would wait for ever
            raise ScenarioError(f"{path}: a folder or device, not a scenario file")
        with path.open("rb") as file:
            content = file.read(4 * MAX_CHARACTERS + 1)
    except FileNotFoundError:
        raise ScenarioError(f"{path}: no such scenario file{_near_file(path)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError(f"{path}: cannot be read: {reason.lower()}") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ScenarioError(f"{path}: UTF-16 text: save it as UTF-8")
    if len(content) > 4 * MAX_CHARACTERS:
        raise ScenarioError(f"{path}: more than {MAX_CHARACTERS} characters: not a scenario")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: not UTF-8 text (byte {error.start})") from None


def parse(text: str, path: Path) -> tuple[dict[str, Any], Source]:
    """YAML as data and places.

    :raises ScenarioError: not YAML, not a mapping, a key given twice, more than fits a scenario.
    """
    try:
        data, lines = data_of(text)
    except YamlFault as fault:
        place = f"{path}:{fault.line}" if fault.line else str(path)
        raise ScenarioError(f"{place}: {fault}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{path}: a scenario is a mapping of keys to values; see `linksim schema`")
    return data, Source(str(path), dict(lines))


def _near_file(path: Path) -> str:
    from linksim.core.messages import nearest  # start-up

    folder = path.parent if path.parent.is_dir() else Path("scenarios")
    names = [str(folder / file.name) for file in folder.glob("*.y*ml")] if folder.is_dir() else []
    names = names or list(shipped_scenarios())
    return f": did you mean {nearest(str(path), names)}?" if names else ""
