"""Ctrl-C, a batch system's SIGTERM and a closed terminal's SIGHUP end a command alike: what is finished is kept."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


END = 0
"""In place of a signal: the process is about to end, and another signal would only spoil its last words."""


@contextlib.contextmanager
def interruptible() -> Iterator[list[int]]:
    """Any of the `SIGNALS` raises KeyboardInterrupt, unless whoever started this process has it ignored.

    :returns: the numbers of those that came: where one meets code that turns exceptions into others, this still tells.
        After `END` is appended, further ones do nothing.
    """
    came: list[int] = []
    _missed.clear()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if END in came:
            return
        came.append(number)
        if _deferring:
            _missed.append(number)
            return
        if number == getattr(signal, "SIGHUP", None):
            _leave_dead_terminal()
        raise KeyboardInterrupt

    def unraisable(event: Any) -> None:
        if event.exc_type is KeyboardInterrupt:
            _missed.append(came[-1] if came else 0)
        else:
            before(event)

    before = sys.unraisablehook
    with handlers_kept(), _hook(unraisable):
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, interrupt)
        yield came


_missed: list[int] = []
"""Signals that met a finaliser or a callback of C code, where Python drops exceptions."""


_deferring: list[object] = []
"""Not empty: a signal waits for the end of `deferred`."""


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Around calls of C code that calls Python back, and would print an exception there: a signal waits for their end.

    :raises KeyboardInterrupt: one came meanwhile.
    """
    _deferring.append(None)
    try:
        yield
    finally:
        _deferring.pop()
    raise_missed()


def raise_missed() -> None:
    """In long loops, after every turn: a signal whose exception Python had to drop counts all the same.

    :raises KeyboardInterrupt: there was one.
    """
    if _missed:
        _missed.clear()
        raise KeyboardInterrupt


@contextlib.contextmanager
def _hook(unraisable: Callable[[Any], None]) -> Iterator[None]:
    before, sys.unraisablehook = sys.unraisablehook, unraisable
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """For libraries that set handlers of their own: afterwards, those from before are there."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that Python knows
                signal.signal(number, handler)


def ignore_further() -> None:
    """For the last moments of a process that was interrupted: another signal would only spoil its exit code."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _leave_dead_terminal() -> None:
    """Where the terminal is gone, every word to it would be an error."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
                continue
            try:
                os.tcgetpgrp(descriptor)
            except OSError:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
