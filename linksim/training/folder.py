"""A checkpoint's folder while a training lasts: held by one process, written whole, faults in one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import filelock
import safetensors

from linksim.errors import StoreError


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to; it becomes ``path`` at the end, so that a kill leaves the old file or the new one.

    :raises StoreError: the folder cannot be written.
    """
    waiting = path.with_name(f"{path.name}.tmp")
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield waiting
        os.replace(waiting, path)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder for this training alone.

    :raises StoreError: another process has it, or it cannot be written.
    """
    lock = filelock.FileLock(folder / ".lock")
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StoreError(f"{folder}: another process is training this; wait for it") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def writable(place: Path) -> Iterator[None]:
    """Faults of the disk as one line.

    :raises StoreError: full, read-only, or no folder.
    """
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"{place}: cannot write: {reason.lower()}; set training.folder") from None
