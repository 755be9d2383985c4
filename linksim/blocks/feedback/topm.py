"""The strongest angle-delay coefficients: where they are, and what they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch

from linksim.blocks.feedback.base import FeedbackCodec, ReportGrid
from linksim.blocks.feedback.bits import BitReader, BitWriter, choice_bits, combination_bits
from linksim.blocks.feedback.scale import SCALE_BITS, scale_code, scale_of
from linksim.blocks.feedback.value_formats import SPREAD_BITS, value_formats
from linksim.core.csi import Csi
from linksim.core.errors import ReportError
from linksim.core.registry import register
from linksim.core.types import NonNegativeInt, PositiveInt
from linksim.mimo.angle_delay import from_angle_delay, to_angle_delay


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
