"""Ways to spend bits on a complex coefficient whose amplitude lies between two known limits."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch

from linksim.blocks.feedback.quantizer import UniformQuantizer

Values = Literal["best", "polar", "uniform"]

SPREAD_BITS = 6
"""Ratio of largest to smallest amplitude of a report, 0 to 63 dB in whole dB."""


class ValueFormat(ABC):
    """Quantises complex values relative to a scale.

    :ivar bits: of one coefficient.
    """

    @property
    @abstractmethod
    def bits(self) -> int: ...

    @abstractmethod
    def quantize(self, value: torch.Tensor, spread_db: torch.Tensor) -> torch.Tensor:
        """int64 codes from 0 to ``2^bits - 1``.

        :param value: complex, ``[..., coefficient]``, amplitudes from ``-spread_db`` to 0 dB.
        :param spread_db: ``[..., 1]``, dB.
        """

    @abstractmethod
    def dequantize(self, code: torch.Tensor, spread_db: torch.Tensor) -> torch.Tensor:
        """The values, complex128."""


@dataclass(frozen=True)
class UniformFormat(ValueFormat):
    """Real and imaginary part in equal cells from -1 to 1."""

    real_bits: int

    @property
    def bits(self) -> int:
        return 2 * self.real_bits

    def quantize(self, value: torch.Tensor, spread_db: torch.Tensor) -> torch.Tensor:
        quantizer = UniformQuantizer(self.real_bits)
        return quantizer.quantize(value.real) << self.real_bits | quantizer.quantize(value.imag)

    def dequantize(self, code: torch.Tensor, spread_db: torch.Tensor) -> torch.Tensor:
        quantizer = UniformQuantizer(self.real_bits)
        return torch.complex(quantizer.dequantize(code >> self.real_bits),
                             quantizer.dequantize(code & (2**self.real_bits - 1)))


@dataclass(frozen=True)
class PolarFormat(ValueFormat):
    """Amplitude in cells of equal dB over the spread, phase in equal cells."""

    amplitude_bits: int
    phase_bits: int

    @property
    def bits(self) -> int:
        return self.amplitude_bits + self.phase_bits

    def quantize(self, value: torch.Tensor, spread_db: torch.Tensor) -> torch.Tensor:
        level_db = 20 * torch.log10(value.abs().double().clamp_min(1e-30))
        cells = 2**self.amplitude_bits
        amplitude = (-level_db / spread_db.clamp_min(1e-9) * cells).floor().clamp(0, cells - 1).long()
        turns = value.angle().double() / (2 * math.pi) * 2**self.phase_bits
        return amplitude << self.phase_bits | turns.round().long() % 2**self.phase_bits

    def dequantize(self, code: torch.Tensor, spread_db: torch.Tensor) -> torch.Tensor:
        cell = (code >> self.phase_bits) + 0.5
        amplitude = 10 ** (-cell * spread_db.double() / 2**self.amplitude_bits / 20)
        # within a cell the phase is uniform: the mean of its phasors is shorter than 1
        amplitude = amplitude * torch.sinc(amplitude.new_tensor(0.5**self.phase_bits))
        angle = (code & (2**self.phase_bits - 1)).double() * (2 * math.pi / 2**self.phase_bits)
        return torch.polar(amplitude, angle)


@cache
def value_formats(values: Values) -> tuple[ValueFormat, ...]:
    """The formats that an encoder tries, in the order in which it names them."""
    families = {
        "polar": [PolarFormat(amplitude, phase) for phase in range(2, 8) for amplitude in range(0, 6)
                  if 0 <= phase - amplitude <= 3],
        "uniform": [UniformFormat(bits) for bits in range(1, 9)],
    }
    if values == "best":
        return tuple(one for family in families.values() for one in family)
    return tuple(families[values])
