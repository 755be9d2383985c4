"""The strongest angle-delay coefficients: where they are, and what they are.

There are several ways to spend bits on a complex coefficient whose amplitude lies between two known limits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import torch

from linksim.blocks.feedback.base import FeedbackCodec, ReportGrid
from linksim.blocks.feedback.bits import BitReader, BitWriter, choice_bits, combination_bits
from linksim.blocks.feedback.quantizer import SCALE_BITS, UniformQuantizer, scale_code, scale_of
from linksim.core.csi import Csi
from linksim.core.errors import ReportError
from linksim.core.registry import register
from linksim.core.types import NonNegativeInt, PositiveInt
from linksim.mimo.angle_delay import from_angle_delay, to_angle_delay

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


@lru_cache(maxsize=1024)
def affordable_coefficients(total: int, bits_per_value: int, bits: int) -> int:
    """The most coefficients of ``total`` whose positions and values fit into ``bits``."""
    low, high = 0, min(total, bits // bits_per_value)
    while low < high:
        middle = (low + high + 1) // 2
        if combination_bits(total, middle) + bits_per_value * middle <= bits:
            low = middle
        else:
            high = middle - 1
    return low


@register("feedback", "top_m")
class TopMCodec(FeedbackCodec):
    """The strongest complex angle-delay coefficients, with enumerative positions and quantised values.

    The encoder tries every way to split its bits between more coefficients and finer ones, and names the best in
    the report; how many coefficients there are follows from that and the budget, and costs no bits. A report is: the
    split, the largest amplitude, the ratio of largest to smallest, positions, values.

    :param bits: per report, at most.
    :param values: how a coefficient is quantised: "polar", by logarithmic amplitude and phase; "uniform", by real and
        imaginary part in equal cells; "best" of both in each report.
    :param delay_window: delay rows kept, from delay zero on; 0 for all (the full band).
    """

    def __init__(self, bits: PositiveInt = 512,
                 values: Literal["best", "polar", "uniform"] = "best",
                 delay_window: NonNegativeInt = 0) -> None:
        super().__init__()
        self.bits = bits
        self.delay_window = delay_window
        self.formats = value_formats(values)

    def _rows(self, grid: ReportGrid) -> int:
        return min(self.delay_window or grid.num_subcarriers, grid.num_subcarriers)

    def _total(self, grid: ReportGrid) -> int:
        return grid.num_ue_antennas * grid.panel.num_antennas * self._rows(grid)

    @property
    def _header_bits(self) -> int:
        return choice_bits(len(self.formats)) + SCALE_BITS + SPREAD_BITS

    def minimum_bits(self, grid: ReportGrid) -> int:
        total = self._total(grid)
        return self._header_bits + choice_bits(total) + min(one.bits for one in self.formats)

    def _counts(self, total: int) -> list[int]:
        """Coefficients with each format."""
        return [affordable_coefficients(total, one.bits, self.bits - self._header_bits) for one in self.formats]

    def encode_users(self, csi: Csi) -> list[BitWriter]:
        grid = ReportGrid.of(csi)
        g = to_angle_delay(csi.h.cpu(), csi.panel)[..., :self._rows(grid)].flatten(2).flatten(0, 1)
        g = g.to(torch.complex128)
        counts = self._counts(g.shape[-1])
        amplitude, order = g.abs().topk(max(counts), -1)
        strongest = g.gather(-1, order)
        scale = scale_code(amplitude[:, :1], upwards=True)
        relative = strongest / scale_of(scale).clamp_min(1e-300)
        best = torch.full((len(g),), -torch.inf, dtype=torch.float64)
        chosen: list[tuple[int, torch.Tensor, torch.Tensor] | None] = [None] * len(g)
        for number, (one, count) in enumerate(zip(self.formats, counts)):
            if not count:
                continue
            part = relative[:, :count]
            spread = (-20 * torch.log10(part[:, -1:].abs().clamp_min(1e-30))).ceil().clamp(0, 2**SPREAD_BITS - 1)
            code = one.quantize(part, spread)
            # what is gained over sending nothing
            gain = part.abs().square().sum(-1) - (part - one.dequantize(code, spread)).abs().square().sum(-1)
            for user in (gain > best).nonzero().flatten().tolist():
                best[user] = gain[user]
                chosen[user] = number, spread[user].long(), code[user]
        return [self._write(scale[user], *chosen[user], order[user], g.shape[-1]) for user in range(len(g))]

    def _write(self, scale: torch.Tensor, number: int, spread: torch.Tensor, code: torch.Tensor, order: torch.Tensor,
               total: int) -> BitWriter:
        writer = BitWriter()
        writer.write_choice(number, len(self.formats), "split")
        writer.write(int(scale), SCALE_BITS, "scale")
        if not int(scale):
            return writer  # an all-zero channel needs no more
        writer.write(int(spread), SPREAD_BITS, "scale")
        positions, by_position = order[:len(code)].sort()
        writer.write_combination(positions.tolist(), total)
        for value in code[by_position].tolist():
            writer.write(value, self.formats[number].bits, "values")
        return writer

    def decode_users(self, readers: Sequence[BitReader], grid: ReportGrid) -> torch.Tensor:
        total = self._total(grid)
        counts = self._counts(total)
        g = torch.zeros(len(readers), total, dtype=torch.complex128)
        for target, reader in zip(g, readers):
            number = reader.read_choice(len(self.formats), "split")
            scale = reader.read(SCALE_BITS, "scale")
            if not scale:
                continue
            spread = torch.tensor([float(reader.read(SPREAD_BITS, "scale"))])
            if not counts[number]:
                raise ReportError(f"report is corrupted: {self.bits} bits leave no room for this split")
            positions = reader.read_combination(total, counts[number])
            code = torch.tensor([reader.read(self.formats[number].bits, "values") for _ in positions])
            target[positions] = self.formats[number].dequantize(code, spread) * scale_of(torch.tensor(scale))
        rows = self._rows(grid)
        g = g.reshape(*grid.shape[:-1], rows)
        g = torch.nn.functional.pad(torch.view_as_real(g), (0, 0, 0, grid.num_subcarriers - rows))
        return from_angle_delay(torch.view_as_complex(g), grid.panel).to(torch.complex64)
