"""Strings of 0 and 1 as tensors and back: source codes speak the first, links the second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def to_tensor(bits: Sequence[str], size: int) -> torch.Tensor:
    """Strings filled up with zeros, float32 ``[string, size]``.

    :raises ValueError: a string is longer than ``size``.
    """
    longest = max(map(len, bits), default=0)
    if longest > size:
        raise ValueError(f"{longest} bits do not fit into a payload of {size}")
    text = "".join(one.ljust(size, "0") for one in bits).encode()
    values = np.frombuffer(text, dtype=np.uint8) - ord("0")
    return torch.from_numpy(values.astype(np.float32)).reshape(len(bits), size)


def to_strings(bits: torch.Tensor) -> list[str]:
    """One string for each row of zeros and ones, ``[row, bit]``, of any type."""
    return [(row + ord("0")).tobytes().decode() for row in bits.cpu().to(torch.uint8).numpy()]
