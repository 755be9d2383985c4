"""Places that one process at a time may write to: others wait for it and say so; where it dies, one takes over."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from linksim.core.heartbeat import doing, duration
from linksim.core.printing import write

_SILENT_S = 1.0
"""Shorter waits are not worth a line."""

_POLL_S = 0.2


def to_stderr(text: str) -> None:
    """Where a line about waiting goes if nobody says otherwise."""
    write(text, to_stderr=True)


@contextlib.contextmanager
def held(lock: Path, what: str, say: Callable[[str], None] = to_stderr, *, removed: bool = False) -> Iterator[bool]:
    """A place for this process alone, for as long as the context lasts.

    What was found there before has to be looked at again: whoever held it may have made what is wanted.

    :param lock: the file that stands for the place; its folder exists.
    :param what: what its holder does there, as in ``trains checkpoints/gru-1``.
    :param say: prints a line.
    :param removed: take the file away in the end, where it would be litter; else it stays.
    :returns: whether another process had the place before.
    :raises OSError: the file cannot be made.
    """
    file = filelock.FileLock(lock)
    waited = _acquire(file, lock, what, say)
    while not lock.exists():  # the holder before took it away: nobody else would find this one
        file.release()
        _acquire(file, lock, what, say)
        waited = True
    # read by those who wait; a modification time, some locks' own attempts would change
    with contextlib.suppress(OSError):
        os.utime(lock)
    try:
        yield waited
    finally:
        if removed:
            with contextlib.suppress(OSError):
                lock.unlink()
        file.release()
        if removed and sys.platform == "win32":  # where no open file can be removed
            with contextlib.suppress(OSError):
                lock.unlink()


def is_held(lock: Path) -> bool:
    """Whether a process has the place; nothing is made where nobody ever had it.

    A process that comes at this very moment waits for a fraction of a second.
    """
    if not lock.is_file():
        return False
    file = filelock.FileLock(lock)
    try:
        file.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:  # not ours to write: nothing can be said
        return False
    file.release()
    return False


def _acquire(file: filelock.FileLock, lock: Path, what: str, say: Callable[[str], None]) -> bool:
    """:returns: whether another process had it."""
    for seconds in (0, _SILENT_S):
        with contextlib.suppress(filelock.Timeout):
            file.acquire(timeout=seconds, poll_interval=_POLL_S)
            return seconds > 0
    text = f"waiting for another process that {what}"
    say(text + _since(lock))
    with doing(text):
        file.acquire(poll_interval=_POLL_S)
    return True


def _since(lock: Path) -> str:
    try:
        seconds = time.time() - lock.stat().st_atime
    except OSError:
        return ""
    return f" (for {duration(seconds)} so far)" if seconds > 0 else ""
