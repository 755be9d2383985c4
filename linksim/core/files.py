"""Files that a reader never sees half of: written under a temporary name of linksim's own, then renamed."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from linksim.core.errors import StoreError

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.\d+\.tmp|(?P<older>.+)\.tmp")


def write_atomically(path: Path, content: bytes) -> Path:
    """Write ``content``; folders are made as needed.

    :returns: ``path``.
    :raises StoreError: the folder or file cannot be written (read-only, full, a file in the way).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda temporary: temporary.write_bytes(content))
    except OSError as error:
        raise StoreError(f"cannot write {path}: {reason(error)}") from None
    return path


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it.

    :raises OSError: it cannot be written; no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """``LINKSIM_CACHE``, or ``linksim`` in the place where this system keeps the caches of its users."""
    if chosen := os.environ.get("LINKSIM_CACHE"):
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("linksim", appauthor=False)


def name_behind(temporary: str) -> str | None:
    """The name of the file that a temporary one of `write_whole` would have become; None for any other name.

    Earlier versions wrote ``name.tmp``.
    """
    found = _TEMPORARY.fullmatch(temporary)
    return None if found is None else found["name"] or found["older"]


def reason(error: OSError) -> str:
    """Why a file cannot be written, in a few words."""
    return "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error)).lower()
