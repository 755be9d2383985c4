"""Writing a file so that a reader never sees half of it."""

from __future__ import annotations

import os
from pathlib import Path

from linksim.errors import StoreError


def write_atomically(path: Path, content: bytes) -> Path:
    """Write ``content`` to a temporary name beside ``path``, then rename; folders are made as needed.

    :returns: ``path``.
    :raises StoreError: the folder or file cannot be written (read-only, full, a file in the way).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from None
    return path
