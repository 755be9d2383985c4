"""Memory for large results, taken again once they are gone.

The system hands out large blocks as fresh pages and takes them back when they are freed; filling fresh pages runs at
a tenth of the memory's bandwidth and can cost more than computing what goes there. CUDA tensors need no such help:
torch recycles their memory itself.
"""

from __future__ import annotations

import contextlib
import math
import weakref
from collections import deque

import torch

_LARGE_BYTES = 2**22
"""The C library mostly recycles smaller blocks by itself."""

_SLACK = 1.25
"""A block may be this many times larger than asked for."""

_free: deque[torch.Tensor] = deque(maxlen=4)
"""Blocks at hand. Its methods are atomic, so threads and finalizers need no lock."""


def large_empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Like `torch.empty`, in recycled memory where that pays."""
    size = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or size < _LARGE_BYTES:
        return torch.empty(shape, dtype=dtype, device=device)
    block = _take(size)
    # torch keeps this array alive as long as any tensor uses its memory; then the block is free again
    array = block.numpy()[:size]
    weakref.finalize(array, _free.append, block).atexit = False
    return torch.from_numpy(array).view(dtype).view(shape)


def _take(size: int) -> torch.Tensor:
    for _ in range(len(_free)):
        with contextlib.suppress(IndexError):  # another thread may have been faster
            block = _free.popleft()
            if size <= len(block) <= _SLACK * size:
                return block
            _free.append(block)
    return torch.empty(size, dtype=torch.uint8)
