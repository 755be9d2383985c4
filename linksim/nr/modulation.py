"""Bits to symbols and back: BPSK and Gray-coded QAM of unit power."""

from __future__ import annotations

from functools import lru_cache

import torch
from sionna.phy.mapping import Demapper, Mapper

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
