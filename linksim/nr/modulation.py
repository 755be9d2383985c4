"""Bits to symbols and back: strings, scrambling, BPSK and Gray-coded QAM of unit power."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from sionna.phy.mapping import Demapper, Mapper
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


_SMALLEST_NOISE = 1e-9
"""Noise variance is taken as no smaller: 90 dB, beyond what any receiver believes."""


def modulate(bits: torch.Tensor, order: int) -> torch.Tensor:
    """Symbols complex64 ``[..., symbol]`` of bits ``[..., symbol * order]``, of unit power averaged over all bits."""
    return _mapper(order, str(bits.device))(bits.float())


def demodulate(received: torch.Tensor, noise_variance: torch.Tensor, order: int) -> torch.Tensor:
    """Exact log-likelihood ratios ln P(1) / P(0) of every bit on its own, ``[..., symbol * order]``.

    :param received: unit-power symbols with noise, complex ``[..., symbol]``.
    :param noise_variance: of the complex noise, ``[..., symbol]``.
    """
    noise = noise_variance.float().clamp_min(_SMALLEST_NOISE)
    y = received.to(torch.complex64)
    demapper = _pam_demapper(max(1, order // 2), str(y.device))
    if order == 1:
        return demapper(y, noise)
    # real and imaginary part are two PAMs, whose bits alternate: a fraction of the points to compare with
    parts = torch.view_as_real(y).mT * 2**0.5  # [..., part, symbol]
    ratios = demapper(parts.to(torch.complex64), 2 * noise.unsqueeze(-2).expand(parts.shape))
    return ratios.unflatten(-1, (-1, order // 2)).movedim(-3, -1).flatten(-3)


@lru_cache
def _mapper(order: int, device: str) -> Mapper:
    return Mapper("pam" if order == 1 else "qam", order, precision="single", device=device)


@lru_cache
def _pam_demapper(num_bits: int, device: str) -> Demapper:
    return Demapper("app", "pam", num_bits, precision="single", device=device)
