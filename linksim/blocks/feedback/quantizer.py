"""Scalar quantisers: every one maps real numbers to indices of a stated number of bits, and back.

Those of learned codewords are fitted on training codewords alone, one for each number of bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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


MAX_BITS = 10
"""Finest table that is fitted; a larger budget is left unused."""

def least_bits(quantization: Quantization) -> int:
    """Fewest bits an element can have."""
    return NoQuantizer.bits if quantization == "none" else 1


_TABLES = ("lloyd_max", "uniform")
"""Both are fitted: how a codeword is quantised is chosen when it is used."""

_MAX_SAMPLES = 200_000
_CLIPPED = 1e-3
"""Share of training values beyond each limit of the uniform quantiser."""


class CodewordQuantizer(torch.nn.Module):
    """Elements of a codeword, each brought to mean 0 and deviation 1, in one table for all of them.

    :param num_elements: of a codeword; 1 where elements are of one kind.
    :param quantization: "lloyd_max", "uniform", or "none" (single-precision numbers).

    Source: "the Lloyd-Max algorithm is employed for quantizing the compressed codewords", LLMCsiNet, V-C; bits per
    element and normalisation are not given there.
    """

    def __init__(self, num_elements: int, quantization: Quantization = "lloyd_max") -> None:
        super().__init__()
        self.quantization = quantization
        self.register_buffer("mean", torch.zeros(num_elements))
        self.register_buffer("deviation", torch.ones(num_elements))
        self.register_buffer("levels", torch.linspace(-1, 1, 2**MAX_BITS).repeat(len(_TABLES), MAX_BITS, 1))

    def affordable_bits(self, bits: int) -> int:
        """Bits of an element that ``bits`` are left for; 0 if that is too few."""
        if self.quantization == "none":
            return NoQuantizer.bits if bits >= NoQuantizer.bits else 0
        return min(bits, MAX_BITS)

    def fit(self, codewords: torch.Tensor) -> None:
        """Learn means, deviations and tables.

        :param codewords: ``[sample, element]`` of training drops; with one element, ``[value, 1]``.
        """
        codewords = codewords.detach().double().cpu()
        self.mean.copy_(codewords.mean(0))
        deviation = codewords.std(0, correction=0)
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))
        value = ((codewords - self.mean.cpu()) / self.deviation.cpu()).flatten()
        value = value[::-(-len(value) // _MAX_SAMPLES)]
        limits = torch.quantile(value, torch.tensor([_CLIPPED, 1 - _CLIPPED], dtype=value.dtype))
        for bits in range(1, MAX_BITS + 1):
            middle = (torch.arange(2**bits) + 0.5) / 2**bits
            tables = {"lloyd_max": lloyd_max(value, bits).levels, "uniform": limits[0] + limits.diff() * middle}
            for row, name in enumerate(_TABLES):
                self.levels[row, bits - 1, :2**bits].copy_(tables[name])

    def quantize(self, codeword: torch.Tensor, bits: int) -> torch.Tensor:
        """Indices, int64, of codewords ``[..., element]``."""
        return self._table(bits).quantize((codeword.double().cpu() - self.mean.cpu()) / self.deviation.cpu())

    def dequantize(self, index: torch.Tensor, bits: int) -> torch.Tensor:
        """Values of indices ``[..., element]``, single precision, where the module is."""
        value = self._table(bits).dequantize(index) * self.deviation.cpu() + self.mean.cpu()
        return value.float().to(self.mean.device)

    def _table(self, bits: int) -> Quantizer:
        if self.quantization == "none":
            return NoQuantizer()
        return TableQuantizer(self.levels[_TABLES.index(self.quantization), bits - 1, :2**bits].cpu())


SCALE_BITS = 10
_LOWEST_DB, _STEP_DB = -180.0, 0.25
"""Amplitudes from -180 dB (1e-9) to +75 dB; smaller ones are taken for zero, larger ones clipped."""


def scale_code(amplitude: torch.Tensor, upwards: bool = False) -> torch.Tensor:
    """The code of every amplitude, int64, 0 for an amplitude of zero.

    :param amplitude: non-negative, any shape.
    :param upwards: to the next step above instead of the nearest, so that nothing exceeds the scale.
    """
    level_db = 20 * torch.log10(amplitude.double().clamp_min(1e-300))
    steps = (level_db - _LOWEST_DB) / _STEP_DB
    steps = (steps - 1e-6).ceil() if upwards else steps.round()
    code = (steps + 1).clamp(0, 2**SCALE_BITS - 1).long()
    return torch.where(amplitude > 0, code, 0)


def scale_of(code: torch.Tensor) -> torch.Tensor:
    """The amplitude that a code means, float64; 0 for code 0."""
    amplitude = 10 ** ((_LOWEST_DB + _STEP_DB * (code.double() - 1)) / 20)
    return torch.where(code > 0, amplitude, 0.0)
