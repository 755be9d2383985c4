"""Scalar quantisers: every one maps real numbers to indices of a stated number of bits, and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cache
from typing import Literal

import torch

Quantization = Literal["lloyd_max", "uniform", "none"]

FLOAT_BITS = 32
"""What an unquantised value costs: a single-precision number, sent as it is."""


class Quantizer(ABC):
    """Real numbers to indices and back.

    :ivar bits: of one index.
    """

    bits: int

    @abstractmethod
    def quantize(self, value: torch.Tensor) -> torch.Tensor:
        """int64 indices from 0 to ``2^bits - 1``, of the shape of ``value`` (real)."""

    @abstractmethod
    def dequantize(self, index: torch.Tensor) -> torch.Tensor:
        """The reproduction value of every index, float64."""


class UniformQuantizer(Quantizer):
    """2^bits equal cells between two limits; values beyond fall into the outer cells.

    :param bits: per value, at least 1.
    :param low: lower limit; ``high``, the upper one.
    """

    def __init__(self, bits: int, low: float = -1.0, high: float = 1.0) -> None:
        if bits < 1 or not low < high:
            raise ValueError(f"a uniform quantiser needs at least 1 bit and low < high (given {bits}, {low}, {high})")
        self.bits, self.low, self.step = bits, low, (high - low) / 2**bits

    def quantize(self, value: torch.Tensor) -> torch.Tensor:
        return ((value.double() - self.low) / self.step).floor().clamp(0, 2**self.bits - 1).long()

    def dequantize(self, index: torch.Tensor) -> torch.Tensor:
        return self.low + self.step * (index.double() + 0.5)


class TableQuantizer(Quantizer):
    """Nearest of a sorted table of levels: what `lloyd_max` fits.

    :param levels: ``[2^bits]``, ascending.
    """

    def __init__(self, levels: torch.Tensor) -> None:
        self.levels = levels.double()
        self.bits = (len(levels) - 1).bit_length()
        if len(levels) != 2**self.bits:
            raise ValueError(f"{len(levels)} levels fill no whole number of bits")
        self._thresholds = (self.levels[1:] + self.levels[:-1]) / 2

    def quantize(self, value: torch.Tensor) -> torch.Tensor:
        return torch.bucketize(value.double().contiguous(), self._thresholds)

    def dequantize(self, index: torch.Tensor) -> torch.Tensor:
        return self.levels[index]


class NoQuantizer(Quantizer):
    """Single-precision numbers bit for bit: what "unquantised" really costs."""

    bits = FLOAT_BITS

    def quantize(self, value: torch.Tensor) -> torch.Tensor:
        return value.float().contiguous().view(torch.int32).long() & 0xFFFFFFFF

    def dequantize(self, index: torch.Tensor) -> torch.Tensor:
        signed = torch.where(index >= 2**31, index - 2**32, index)
        return signed.to(torch.int32).view(torch.float32).double()


def lloyd_max(samples: torch.Tensor, bits: int, num_iterations: int = 1000, tolerance: float = 1e-9
              ) -> TableQuantizer:
    """The quantiser of least mean square error for training samples, by Lloyd's iteration.

    Exact for the samples' own distribution: cells are found in the sorted samples, means from running sums.

    :param samples: real, any shape, training data alone; at least one.
    :param bits: per value, at least 1.
    :param num_iterations: at most; ``tolerance``: stops when a level moves less, relative to the samples' deviation.
    :raises ValueError: no samples, or bits below 1.

    Source: Max, "Quantizing for minimum distortion", IRE Trans. Inf. Theory 6(1), 1960; Lloyd, "Least squares
    quantization in PCM", IEEE Trans. Inf. Theory 28(2), 1982.
    """
    data = samples.detach().double().flatten().cpu().sort().values
    if bits < 1 or not len(data):
        raise ValueError(f"Lloyd-Max needs samples and at least 1 bit (given {len(data)} samples, {bits} bits)")
    sums = torch.cat([data.new_zeros(1), data.cumsum(0)])
    deviation = float(data.std(correction=0)) or 1.0
    # each level starts with as many samples as the others
    at = ((torch.arange(2**bits) + 0.5) / 2**bits * len(data)).long().clamp_max(len(data) - 1)
    levels = data[at]
    for _ in range(num_iterations):
        edges = torch.searchsorted(data, (levels[1:] + levels[:-1]) / 2)
        edges = torch.cat([edges.new_zeros(1), edges, edges.new_full((1,), len(data))])
        count = edges.diff()
        means = torch.where(count > 0, sums[edges].diff() / count.clamp_min(1), levels)
        moved = float((means - levels).abs().max())
        levels = means
        if moved < tolerance * deviation:
            break
    return TableQuantizer(levels.cummax(0).values)


@cache
def gaussian_lloyd_max(bits: int) -> TableQuantizer:
    """Max's quantiser of a unit Gaussian, from its distribution instead of samples (cached).

    Cell means follow from density and distribution function in closed form, iterated until they stand still.
    """
    levels = 3 * (2 * (torch.arange(2**bits, dtype=torch.float64) + 0.5) / 2**bits - 1)
    infinity = levels.new_tensor([math.inf])
    for _ in range(20000):
        edges = torch.cat([-infinity, (levels[1:] + levels[:-1]) / 2, infinity])
        density = torch.exp(-0.5 * edges.square()) / math.sqrt(2 * math.pi)
        means = -density.diff() / torch.special.ndtr(edges).diff()
        moved = float((means - levels).abs().max())
        levels = means
        if moved < 1e-13:
            break
    return TableQuantizer((levels - levels.flip(0)) / 2)
