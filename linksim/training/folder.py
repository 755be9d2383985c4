"""A checkpoint's folder while a training lasts: held by one process, written whole, faults in one line."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import safetensors
from rich.console import Console

from linksim.core.errors import StoreError
from linksim.core.holding import held
from linksim.core.printing import say
from linksim.scenario.schema import CHECKPOINT_WEIGHTS


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to; it becomes ``path`` at the end, so that a kill leaves the old file or the new one.

    :raises StoreError: the folder cannot be written.
    """
    waiting = path.with_name(f"{path.name}.tmp")
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield waiting
            os.replace(waiting, path)
        except BaseException:
            with contextlib.suppress(OSError):
                waiting.unlink(missing_ok=True)  # on a full disk, above all
            raise


@contextlib.contextmanager
def making(folder: Path, console: Console) -> Iterator[bool]:
    """A checkpoint's folder for this process alone; waits for another one that trains there, saying so.

    :returns: whether the checkpoint has still to be made: another process may have done it meanwhile.
    :raises StoreError: it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(folder / ".lock", f"trains {folder}", partial(say, console)))
        yield not (folder / CHECKPOINT_WEIGHTS).is_file()


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


_FULL = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS") if hasattr(errno, name)}


@contextlib.contextmanager
def with_room(folder: Path) -> Iterator[None]:
    """A disk that is full, or gone, as one line, wherever it is met; other faults as they are.

    :raises StoreError: a training's logs or state cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StoreError(f"{folder}: cannot write: {error.strerror.lower()}; make room and run the same command to go "
                         "on from what was kept last, or set training.folder") from None
