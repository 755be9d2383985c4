"""Files worth keeping between runs on this machine: what is slow to compute and the same every time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import safetensors
import safetensors.torch
import torch

from linksim.errors import StoreError


def cache_folder() -> Path:
    """``LINKSIM_CACHE``, or ``linksim`` in the place where this system keeps the caches of its users."""
    if chosen := os.environ.get("LINKSIM_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "linksim" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "linksim"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linksim"


def cached_tensors(name: str, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Tensors from the cache, made and kept there at first.

    The file appears in one step: after a kill half-way there is none, and it is made again. Processes that want the
    same file wait for the first of them. Tensors are mapped from the file, so that processes share their memory until
    they write to it; the file itself never changes.

    :param name: of the file in the cache folder, with all that its content depends on.
    :raises StoreError: the cache folder cannot be written.
    """
    path = cache_folder() / name
    try:
        if (tensors := _read(path)) is not None:
            return tensors
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock")):
            if _read(path) is None:
                temporary = path.with_suffix(".tmp")
                # not save_file, whose files are readable by their owner alone, also in a shared folder
                temporary.write_bytes(safetensors.torch.save({key: t.contiguous() for key, t in make().items()}))
                os.replace(temporary, path)
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise StoreError(f"{path}: cannot be kept: {error}; set LINKSIM_CACHE to a folder that can be "
                         "written") from None


def _read(path: Path) -> dict[str, torch.Tensor] | None:
    """The file's tensors, or None where there is no whole file."""
    try:
        return safetensors.torch.load_file(path)
    except (FileNotFoundError, safetensors.SafetensorError):
        return None
