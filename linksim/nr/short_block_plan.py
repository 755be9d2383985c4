"""How large a single LDPC block is over channel uses of known quality, and which modulation each use has.

Unlike transport blocks (`linksim.nr.link_adaptation`) such a block has no MCS: rate and modulations follow from the
SINR of every channel use, one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from statistics import NormalDist

import numpy as np
import torch
from sionna.phy.mapping import pam

from linksim.core.errors import ScenarioError
from linksim.nr.rules import check_error_rate
from linksim.nr.slots import ORDERS

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


MAX_BLOCK = 3824
"""Largest block with its CRC: up to it NR has a CRC of 16 bits and base graph 2 at all lower rates (TS 38.212)."""

MAX_RATE = 0.92
"""Highest code rate; NR's is 948/1024 (TS 38.214, 5.1.3.1)."""

GAP_DB = 1.0
"""What the LDPC codes and their decoder lose to the normal approximation, measured in white noise."""

_SHARES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125)
"""Shares of the channel uses that are tried; the others stay silent and their power goes to these."""

_MARGINS_DB = (-30.0, 60.0)


def crc_bits(payload_bits: int) -> int:
    """Bits of the check: CRC6 up to 19 payload bits, CRC11 up to 100, CRC16 above.

    The polynomials are those of TS 38.212, 5.1. The first limit is that of control information there (6.3.1.2.1); the
    second is chosen here: NR's transport blocks have 16 bits, a fifth of a short text.
    """
    return 6 if payload_bits < 20 else 11 if payload_bits <= 100 else 16


def _payload_sizes() -> list[int]:
    sizes = sorted({round(8 * 2 ** (step / 8)) for step in range(80)})
    return [size for size in sizes if size + crc_bits(size) <= MAX_BLOCK]


PAYLOAD_SIZES = torch.tensor(_payload_sizes())
"""Bits that a block can carry, eight sizes an octave."""

_BLOCK_SIZES = torch.tensor([size + crc_bits(size) for size in _payload_sizes()])


@dataclass(frozen=True)
class ShortBlockPlan:
    """What both ends know of blocks, as of downlink control information, which is taken as free.

    :ivar orders: bits of every symbol, 0 where nothing is sent, int64 ``[block, use]``.
    :ivar payload_bits: without the CRC, int64 ``[block]``; 0 where not even the smallest block has room.
    :ivar safe: whether the block meets the target error rate at the expected SINR, bool ``[block]``.
    """

    orders: torch.Tensor
    payload_bits: torch.Tensor
    safe: torch.Tensor

    @cached_property
    def num_coded(self) -> torch.Tensor:
        """Bits on the channel, int64 ``[block]``."""
        return self.orders.sum(-1)

    @cached_property
    def amplitude(self) -> torch.Tensor:
        """Amplitude of the symbols sent, so that the block has unit mean power, ``[block, 1]``."""
        used = (self.orders > 0).sum(-1, keepdim=True)
        return (self.orders.shape[-1] / used.clamp_min(1)).sqrt()


class ShortBlockPlanner:
    r"""The largest block at a target error rate, by the normal approximation.

    .. math:: k \le \sum_u I_{m_u}(\gamma_u / \Gamma) - Q^{-1}(\epsilon) \sqrt{\sum_u V_{m_u}(\gamma_u / \Gamma)}

    with information and dispersion of modulation ``m_u`` at the expected SINR (`best_modulation`), target ``eps``
    and a gap ``Gamma`` of `GAP_DB` and the margin. Each channel use has the modulation that carries most; weak ones may
    stay silent to the benefit of the others. A payload below the largest is sent with the modulations that leave the
    greatest margin.

    :param target_error_rate: of blocks, above 0 and at most 0.5.
    :param margin_db: taken off the expected SINR, for transmitters that do not know it well; may be negative.
    :param max_order: bits of a symbol at most, one of `ORDERS`.
    :param silence: whether channel uses may stay silent.
    :raises ScenarioError: an option out of range.

    Source: Polyanskiy, Poor, Verdu, "Channel coding rate in the finite blocklength regime", IEEE Trans. Inf. Theory
    56(5), 2010, (223), without the logarithmic term.
    """

    def __init__(self, target_error_rate: float = 0.1, margin_db: float = 0.0, max_order: int = 8,
                 silence: bool = True) -> None:
        check_error_rate(target_error_rate)
        if max_order not in ORDERS:
            raise ScenarioError(f"bits of a symbol are one of {', '.join(map(str, ORDERS))} (given {max_order})")
        self.target_error_rate, self.margin_db = target_error_rate, margin_db
        self.max_order, self.silence = max_order, silence
        self._backoff = NormalDist().inv_cdf(1 - target_error_rate)

    def plan(self, expected_sinr: torch.Tensor, wanted_bits: torch.Tensor | None = None) -> ShortBlockPlan:
        """Payload and modulations of every block.

        A channel that carries no block at the target gets the smallest one all the same, which is not `safe`.

        :param expected_sinr: linear, of a symbol of unit power, ``[block, use]``.
        :param wanted_bits: payload that is enough, int64 ``[block]``; None for as much as fits.
        :raises ValueError: a SINR that is negative or no number, or sizes that do not match.
        """
        if expected_sinr.dim() != 2 or not bool((expected_sinr >= 0).all()):
            raise ValueError("the expected SINR must be [block, use], numbers of at least 0 (linear)")
        if wanted_bits is not None and wanted_bits.shape != expected_sinr.shape[:1]:
            raise ValueError(f"wanted bits of {tuple(wanted_bits.shape)} do not match {len(expected_sinr)} blocks")
        device = expected_sinr.device
        sizes, blocks = PAYLOAD_SIZES.to(device), _BLOCK_SIZES.to(device)
        zero = expected_sinr.new_zeros(len(expected_sinr))
        index = torch.searchsorted(blocks, self._carried(expected_sinr, zero)[0].floor().long(), right=True) - 1
        if wanted_bits is not None:
            index = torch.minimum(index, torch.searchsorted(sizes, wanted_bits.to(device)))
        safe = index >= 0
        index = index.clamp(0, len(sizes) - 1)
        low, high = (torch.full_like(zero, limit) for limit in _MARGINS_DB)
        for _ in range(10):
            middle = (low + high) / 2
            enough = self._carried(expected_sinr, middle)[0] >= blocks[index]
            low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
        carried, orders = self._carried(expected_sinr, low)
        possible = carried >= blocks[index]
        return ShortBlockPlan(orders * possible[:, None], sizes[index] * possible, safe)

    def _carried(self, sinr: torch.Tensor, margin_db: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Bits of the largest block ``[block]`` and the orders that carry it ``[block, use]``.

        :param margin_db: beyond the gap and the option, ``[block]``.
        """
        num_uses = sinr.shape[1]
        usable = sinr / 10 ** ((GAP_DB + self.margin_db + margin_db[:, None]) / 10)
        rank = sinr.argsort(dim=-1, descending=True, stable=True).argsort(-1)
        best, chosen = sinr.new_full(sinr.shape[:1], -1.0), torch.zeros_like(rank)
        counts = {max(1, round(share * num_uses)) for share in (_SHARES if self.silence else (1.0,))}
        for count in sorted(counts, reverse=True):
            sent = rank < count
            mean, variance, order = (part * sent for part in best_modulation(usable * num_uses / count, self.max_order))
            bits = mean.sum(-1) - self._backoff * variance.sum(-1).sqrt()
            bits = torch.minimum(bits, MAX_RATE * order.sum(-1))
            better = bits > best
            best, chosen = torch.where(better, bits, best), torch.where(better[:, None], order, chosen)
        return best, chosen
