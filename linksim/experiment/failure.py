"""Exceptions inside a block: what the user is told, and how one travels from a worker process."""

from __future__ import annotations

import contextlib
import copy
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import linksim
from linksim.core.errors import LinksimError
from linksim.scenario.points import resolved_at, simulated_points
from linksim.scenario.resolved import ResolvedMethod
from linksim.scenario.schema import Scenario

_MARK = "in linksim: "
_PACKAGE = str(Path(linksim.__file__).parent)


class RemoteTraceback(Exception):
    """The traceback of a worker process, as the cause of the exception raised again here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


class BlockError(Exception):
    """Stands for an exception of a block that cannot be sent between processes; its text names the class."""


def sendable(error: Exception) -> Exception:
    """The exception, or a `BlockError` in its place where another process could not rebuild it."""
    try:
        rebuilt = type(copy.copy(error)) is type(error) and "<locals>" not in type(error).__qualname__
    except Exception:  # its __init__ wants other arguments than its args
        rebuilt = False
    if rebuilt:
        return error
    stand_in = BlockError(_summary(error))
    for note in getattr(error, "__notes__", ()):
        stand_in.add_note(note)
    return stand_in.with_traceback(error.__traceback__)


@contextlib.contextmanager
def named_blocks(scenario: Scenario, where: str) -> Iterator[None]:
    """Add to any exception but linksim's own the file and line, block and method it comes from."""
    try:
        yield
    except LinksimError:
        raise
    except Exception as error:
        error.add_note(_MARK + _place(error, scenario, where))
        raise


def failure_line(error: BaseException) -> str | None:
    """One line about an exception that left a block: file, line, block, method, exception; None for others."""
    for note in getattr(error, "__notes__", ()):
        if note.startswith(_MARK):
            return f"{note.removeprefix(_MARK)}: {_summary(error)}"
    return None


def _summary(error: BaseException) -> str:
    if isinstance(error, BlockError):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def _place(error: Exception, scenario: Scenario, where: str) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))
    # the user's own file if there is one in the stack, else the last line of linksim
    own = [item for item in frames if Path(item[0].f_code.co_filename).as_posix() in scenario.plugins]
    inside = [item for item in frames if item[0].f_code.co_filename.startswith(_PACKAGE)]
    frame, line = (own or inside or frames)[-1]
    text = f"{frame.f_code.co_filename}:{line}: in {frame.f_code.co_name}"
    block = next((name for item, _ in reversed(frames)
                  if isinstance(name := getattr(type(item.f_locals.get("self")), "block_name", None), str)), None)
    if block:
        # a sweep may change the blocks of a method
        users = dict.fromkeys(repr(method.name) for point in simulated_points(scenario)
                              for method in resolved_at(scenario, point).methods if block in _names_of(method))
        text += f" of {block!r}" + (f" (method {', '.join(users)})" if users else "")
    return f"{text}, {where}"


def _names_of(method: ResolvedMethod) -> set[str]:
    """Every block that a method is made of, those within the options of another included."""
    return {block.name for block in method.blocks} | set(_texts([block.given for block in method.blocks]))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
