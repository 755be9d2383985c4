"""What a modulated symbol can carry at a signal-to-noise ratio: mean and variance of its information."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from sionna.phy.mapping import pam

from linksim.nr.tables import ORDERS

_LOW_DB, _HIGH_DB, _STEP_DB = -40.0, 60.0, 0.5
_NODES = 64

_FINE_DB = 0.05
_ALMOST = 0.98
"""The smallest modulation with this share of what the best one carries is taken."""


def symbol_information(sinr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Mean and variance of the information density of a symbol, bits decoded on their own (BICM).

    .. math:: i = \sum_b 1 - \log_2(1 + e^{-\lambda_b}),\qquad \lambda_b = \ln P(\text{sent}\,b) / P(\text{other})

    Its mean is the capacity of bit-interleaved coded modulation with equally likely points, its variance the channel's
    dispersion in it. Interpolated between halves of a decibel; constant beyond -40 and 60 dB.

    :param sinr: linear, any shape.
    :returns: bits and bits^2, ``[..., order]`` each, for every order of `ORDERS`, single precision.

    Source: Caire, Taricco, Biglieri, "Bit-interleaved coded modulation", IEEE Trans. Inf. Theory 44(3), 1998, (15).
    """
    table = _tables().to(sinr.device)  # [2, snr, order]
    decibel = 10 * sinr.float().clamp_min(1e-30).log10()
    at = ((decibel - _LOW_DB) / _STEP_DB).clamp(0, table.shape[1] - 1.001)
    left = at.floor().long()
    weight = (at - left).unsqueeze(-1)
    mean, variance = (part[left] + weight * (part[left + 1] - part[left]) for part in table)
    return mean, variance


def best_modulation(sinr: torch.Tensor, max_order: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The modulation that carries most, or a smaller one that carries almost as much.

    :param sinr: linear, any shape; looked up to 0.05 dB.
    :param max_order: bits of a symbol at most.
    :returns: mean and variance of its information (see `symbol_information`) and its bits of a symbol, int64; of the
        shape of ``sinr`` each.
    """
    mean, variance, order = (part.to(sinr.device) for part in _best(max_order))
    at = (10 * sinr.clamp_min(1e-30).log10() - _LOW_DB) / _FINE_DB
    at = at.round().long().clamp(0, len(mean) - 1)
    return mean[at], variance[at], order[at]


@cache
def _best(max_order: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    decibel = torch.arange(_LOW_DB, _HIGH_DB, _FINE_DB, dtype=torch.float64)
    orders = torch.tensor([order for order in ORDERS if order <= max_order])
    mean, variance = (part[:, :len(orders)] for part in symbol_information(10 ** (decibel / 10)))
    at = (mean >= _ALMOST * mean.amax(-1, keepdim=True)).int().argmax(-1, keepdim=True)
    return mean.gather(-1, at).squeeze(-1), variance.gather(-1, at).squeeze(-1), orders[at.squeeze(-1)]


@cache
def _tables() -> torch.Tensor:
    decibel = np.arange(_LOW_DB, _HIGH_DB + _STEP_DB / 2, _STEP_DB)
    snr = 10 ** (decibel / 10)
    columns = []
    for order in ORDERS:
        # a QAM is two PAMs with half the power and half the noise; BPSK is one, with half the noise
        mean, variance = _pam_information(2 * snr, 1) if order == 1 else 2 * _pam_information(snr, order // 2)
        columns.append(np.stack([mean, variance]))
    return torch.from_numpy(np.stack(columns, -1)).float()


def _pam_information(snr: np.ndarray, num_bits: int) -> np.ndarray:
    """Mean and variance of the information density of Gray-coded PAM of unit power, ``[2, snr]``."""
    points = pam(num_bits, normalize=True).real.astype(np.float64)
    labels = np.arange(2**num_bits)[:, None] >> np.arange(num_bits) & 1
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum() / len(points)
    result = np.empty((2, len(snr)))
    for index, ratio in enumerate(snr):
        noise = nodes / ratio**0.5
        distance = (points[:, None, None] + noise[None, :, None] - points) ** 2  # [sent, node, point]
        exponent = -0.5 * ratio * distance
        both = np.logaddexp.reduce(exponent, -1)
        density = np.zeros_like(both)
        for bit in range(num_bits):
            same = labels[:, None, bit] == labels[None, :, bit]  # [sent, point]
            own = np.logaddexp.reduce(np.where(same[:, None], exponent, -np.inf), -1)
            density += 1 + (own - both) / np.log(2)
        mean = (density * weights).sum()
        result[:, index] = mean, max((density**2 * weights).sum() - mean**2, 0.0)
    return result
