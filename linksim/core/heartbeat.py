"""What is going on, told where nothing else is said: whatever takes long says what it is, how far and for how long."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from datetime import datetime, timedelta
from typing import TypeVar

from linksim.core.interruption import raise_missed

Item = TypeVar("Item")

FIRST_S = 10.0
"""A stage that lasts longer is named."""

_LONGEST_GAP_S = 300.0


class Stage:
    """Something that may take long.

    :param text: what is done.
    :param total: how many of something it is done to.
    """

    def __init__(self, text: str, total: int | None = None) -> None:
        self.text, self.total, self.done = text, total, 0
        self.began = time.monotonic()

    def __str__(self) -> str:
        return self.text + (f" ({self.done} of {self.total})" if self.total else "")


_stages: list[Stage] = []
"""Stages of this process, the innermost last."""


@contextlib.contextmanager
def doing(text: str, total: int | None = None) -> Iterator[Stage]:
    """Name what is done meanwhile; stages within a stage are named after it."""
    stage = Stage(text, total)
    _stages.append(stage)
    try:
        yield stage
    finally:
        _stages.remove(stage)


def counted(text: str, items: Iterable[Item], total: int | None = None) -> Iterator[Item]:
    """The items one by one, and their number told.

    :param total: how many there are, where they do not say so themselves.
    """
    with doing(text, len(items) if total is None and isinstance(items, Sized) else total) as stage:
        for item in items:
            yield item
            raise_missed()
            stage.done += 1


def awaited(text: str, items: Iterable[Item]) -> Iterator[Item]:
    """The items one by one, the making of each named by itself: for what tells of every item anyway."""
    iterator = iter(items)
    while True:
        with doing(text):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
        raise_missed()


class Heartbeat:
    """Tells what `doing` names once it has lasted ten seconds, and again after ever longer times, five minutes at most.

    :param say: prints a line, from a thread of its own.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="heartbeat")

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        told: Stage | None = None
        due = gap = FIRST_S
        while not self._over.wait(FIRST_S / 10):
            stages = list(_stages)
            if not stages:
                continue
            first = stages[0]
            if first is not told:
                told, due, gap = first, FIRST_S, FIRST_S
            elapsed = time.monotonic() - first.began
            if elapsed >= due:
                self._say(f"{': '.join(map(str, stages))}, {duration(elapsed)} so far")
                gap = min(2 * gap, _LONGEST_GAP_S)
                due = elapsed + gap


def duration(seconds: float) -> str:
    """A time for people, two digits."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.3g} days"


def clock(at: datetime, now: datetime) -> str:
    """A time for people, in the zone of ``now``: the day is said where it is another one."""
    at = at.astimezone(now.tzinfo)
    if at.date() == now.date():
        return f"{at:%H:%M}"
    return f"{at:%a %H:%M}" if abs(at - now) < timedelta(days=6) else f"{at:%Y-%m-%d %H:%M}"


def rounded(seconds: float) -> str:
    """An estimate for people, one digit."""
    return duration(float(f"{max(seconds, 1.0):.0e}"))
