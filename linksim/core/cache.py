"""Files worth keeping between runs on this machine: what is slow to compute and the same every time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import safetensors
import safetensors.torch
import torch

from linksim.core.errors import StoreError
from linksim.core.file_lock import held
from linksim.core.files import cache_folder
from linksim.core.heartbeat import doing


def cached_tensors(name: str, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Tensors from the cache, made and kept there at first.

    The file appears in one step and carries a digest: after a kill half-way there is none, and one that is damaged is
    none; it is made again. Processes that want the same file wait for the first of them. Tensors are mapped from the
    file, so that processes share their memory until they write to it; the file itself never changes.

    :param name: of the file in the cache folder, with all that its content depends on.
    :raises StoreError: the cache folder cannot be written.
    """
    path = cache_folder() / name
    with contextlib.ExitStack() as stack:
        with _keepable(path):
            if (tensors := _read(path)) is not None:
                return tensors
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path.with_suffix(".lock"), f"makes {path}"))
            if (tensors := _read(path)) is not None:
                return tensors
        with doing(f"making {path}"):
            made = {key: tensor.contiguous() for key, tensor in make().items()}
        with _keepable(path):
            _write(path, made)
            return safetensors.torch.load_file(path)


@contextlib.contextmanager
def _keepable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        raise StoreError(f"{path}: cannot be kept: {error}; set LINKSIM_CACHE to a folder that can be "
                         "written") from None


def _write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    # not save_file, whose files are readable by their owner alone, also in a shared folder
    digest = _digest(io.BytesIO(safetensors.torch.save(tensors)))[1]
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(safetensors.torch.save(tensors, {_DIGEST: digest}))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)  # on a full disk, above all
        raise


_DIGEST = "blake2b"
_whole: set[tuple[str, int, int]] = set()
"""Files whose digests this process has seen to be right, by name, size and time."""


def _read(path: Path) -> dict[str, torch.Tensor] | None:
    """The file's tensors, or None where there is no whole file."""
    try:
        stat = path.stat()
        state = (str(path), stat.st_size, stat.st_mtime_ns)
        if state not in _whole:
            with path.open("rb") as file:
                noted, found = _digest(file)
            if noted != found:
                return None
            _whole.add(state)
        return safetensors.torch.load_file(path)
    except (FileNotFoundError, safetensors.SafetensorError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _digest(file: BinaryIO) -> tuple[str | None, str]:
    """The digest that a safetensors file notes, if any, and that of all else in it.

    :raises ValueError: it is damaged.
    """
    length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST_HEADER:
        raise ValueError("an absurd header")
    header = json.loads(file.read(length))
    noted = header.pop("__metadata__", {}).get(_DIGEST)
    digest = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16)
    while part := file.read(1 << 20):
        digest.update(part)
    return noted, digest.hexdigest()


_LONGEST_HEADER = 100_000_000
"""What the safetensors library takes at most."""
