"""Bits before they are modulated: strings of 0 and 1, of which source codes speak, as tensors and back; scrambling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from sionna.phy.nr.utils import generate_prng_seq

_SEED = 0x2B5C_93D1
_LENGTH = 4096


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


def scrambling(length: int, device: torch.device) -> torch.Tensor:
    """The first zeros and ones of a fixed Gold sequence, float32 ``[length]`` (TS 38.211, 5.2.1).

    Added to all bits before modulation, so that runs of equal bits, as padding is, have unit power too (6.3.1.1
    there). The same for all: captions are no cells whose interference is to be told apart.
    """
    whole = _gold_sequence(_LENGTH * -(-length // _LENGTH))
    return whole[:length].to(device)


@lru_cache(maxsize=8)
def _gold_sequence(length: int) -> torch.Tensor:
    return torch.as_tensor(generate_prng_seq(length, _SEED)).float()
