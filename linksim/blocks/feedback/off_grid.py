"""Channels told as plane waves whose delays and directions lie between the cells of a DFT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from linksim.blocks.feedback.base import ReportGrid
from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.learned import ClosedFormCodec, FeedbackShape
from linksim.blocks.feedback.matching_pursuit import Pursuit, WaveGrid, pursue, quantized_gains, squared_error
from linksim.blocks.feedback.quantizer import SCALE_BITS, scale_code, scale_of
from linksim.blocks.feedback.symbols import LARGEST
from linksim.blocks.feedback.wave_syntax import WaveTables, Written, count_table, read_waves
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveInt, ReportBits

THRESHOLDS = (0.7, 1.0, 1.4, 2.0, 3.0)
"""Waves are used as long as they stood out of what was left by so many steps; the encoder tries each."""

_TRAINING_COUNTS = (4, 8, 16, 32, 64, 128)
"""Numbers of waves at which tables are counted."""

LEAST_BITS_PER_WAVE = 11
"""Cheaper waves are rare: bounds how many are searched for."""

BISECTIONS = 9


PursuitT = TypeVar("PursuitT", bound=Pursuit)


@dataclass(frozen=True)
class Choice:
    """What an encoder found best for each user.

    :param scale: code of the quantiser's step, ``[user]``, 0 for nothing at all.
    :param steps: gains, ``[user, wave, gain, 2]``.
    :param error: squared, ``[user]``.
    """

    scale: torch.Tensor
    steps: torch.Tensor
    error: torch.Tensor


@register("feedback", "off_grid", trains=True)
class OffGridCodec(ClosedFormCodec):
    """Plane waves found by matching pursuit on an oversampled grid, entropy-coded with trained tables.

    A path between two delay bins and two beams spreads over many DFT coefficients; here it is one wave. Terminal
    antennas and polarisations share the waves and have gains of their own. The quantiser's step decides how many waves
    are worth their bits; the encoder takes the step, and a threshold, at which least is left of the
    channel. Gains of waves that overlap are decided one after the other, each making up for the last one's error.

    :param bits: per report, at most.
    :param delay_oversampling: cells of the grid in a delay bin.
    :param beam_oversampling: cells of the grid in a beam.
    :param num_table_drops: training drops that the tables are counted in.

    Source: off-grid parameters are those of compressed sensing with continuous dictionaries, e.g. Ekanadham,
    Tranchina and Simoncelli, IEEE Trans. Signal Process. 59(10), 2011; syntax and tables are this project's.
    """

    def __init__(self, bits: ReportBits = 512, delay_oversampling: PositiveInt = 8,
                 beam_oversampling: PositiveInt = 4, num_table_drops: PositiveInt = 100) -> None:
        super().__init__()
        self.bits = bits
        self.delay_oversampling = delay_oversampling
        self.beam_oversampling = beam_oversampling
        self.num_table_drops = num_table_drops
        self._kept: dict[bool, list[torch.Tensor]] = {False: [], True: []}

    def prepare(self, shape: FeedbackShape) -> None:
        self.shape = shape
        self.grid = WaveGrid(shape.panel, shape.num_subcarriers, self.delay_oversampling, self.beam_oversampling)
        for name, counts in vars(WaveTables.empty(self.grid).frequencies()).items():
            self.register_buffer(name, counts.int())

    def minimum_bits(self, grid: ReportGrid) -> int:
        return SCALE_BITS

    def observe(self, csi: Csi, validation: bool) -> None:
        users = csi.h.flatten(0, 1)[csi.h.abs().flatten(2).amax(-1).flatten() > 0]
        room = self.num_table_drops - sum(len(part) for part in self._kept[validation])
        if room > 0 and len(users):
            self._kept[validation].append(users[:room].cpu())

    def solve(self) -> float:
        found = pursue(self.grid.separated(torch.cat(self._kept[False])), self.grid, max(_TRAINING_COUNTS))
        counts = WaveTables.empty(self.grid)
        for number in _TRAINING_COUNTS:
            step = found.peak[:, number - 1]
            for part in (step > 0).nonzero().flatten().split(64):
                steps = quantized_gains(found.gram[part], found.correlation[part], found.energy[part],
                                        torch.full((len(part),), number), step[part])
                # a channel of fewer waves leaves rounding errors alone, in whose steps its gains are enormous
                steps = steps.clamp(-LARGEST, LARGEST)
                Written.of(found.index[part], steps, self.grid).counted(counts)
        for name, table in vars(counts.frequencies()).items():
            getattr(self, name).copy_(table)
        held_out = torch.cat(self._kept[True] or self._kept[False])[:50]
        self._kept = {False: [], True: []}
        found = self._pursue(held_out)
        return float((self._choose(found).error / found.energy).mean())

    @property
    def tables(self) -> WaveTables:
        return WaveTables(self.delay, self.column, self.row, self.gain)

    def _pursue(self, h: torch.Tensor) -> Pursuit:
        num_waves = max(1, min(self.bits // LEAST_BITS_PER_WAVE, h[0].numel() // 2))
        return pursue(self.grid.separated(h), self.grid, num_waves)

    def encode_users(self, csi: Csi) -> list[BitWriter]:
        self.check_shape(ReportGrid.of(csi))
        return [writer for h in csi.h.flatten(0, 1).cpu().split(64) for writer in self.written(h)]

    def written(self, h: torch.Tensor) -> list[BitWriter]:
        """A report of each channel ``[user, ue_ant, bs_ant, 1, subcarrier]``."""
        writers = []
        found = self._pursue(h)
        choice = self._choose(found)
        written = Written.of(found.index, choice.steps, self.grid)
        tables = as_lists(self.tables)
        for user, scale in enumerate(choice.scale.tolist()):
            writer = BitWriter()
            writer.write(scale, SCALE_BITS, "scale")
            if scale:
                writer.write_symbols(*written.symbols(user, tables, count_table(self.bits)))
            writers.append(writer)
        return writers

    def read(self, reader: BitReader, num_gains: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Cells ``[wave, 3]``, gains ``[wave, gain]`` (complex128) and the code of the step that a report tells."""
        scale = reader.read(SCALE_BITS, "scale")
        if not scale:
            return torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, num_gains, dtype=torch.complex128), 0
        stream = reader.symbols()
        index, steps = read_waves(stream, as_lists(self.tables), count_table(self.bits), self.grid, num_gains)
        stream.finish()
        return index, torch.view_as_complex(steps.double()) * scale_of(torch.tensor(scale)), scale

    def _choose(self, found: Pursuit) -> Choice:
        return best_choice(found, found.peak[:, 0].clamp_min(0), THRESHOLDS, self._attempt)

    def _attempt(self, found: Pursuit, scale: torch.Tensor, threshold: float) -> tuple[torch.Tensor, Choice]:
        """Gains in steps of ``scale``, and whether they fit."""
        choice, writable = quantized(found, scale, threshold)
        written = Written.of(found.index, choice.steps, self.grid)
        # two bits end a code word
        bits = SCALE_BITS + 2 + written.expected_bits(self.tables, count_table(self.bits))
        return (bits <= self.bits) & writable, choice

    def decode_users(self, readers: Sequence[BitReader], grid: ReportGrid) -> torch.Tensor:
        self.check_shape(grid)
        return torch.cat([self.channel(*self.read(reader, self.num_gains)[:2]) for reader in readers]).unflatten(
            0, grid.shape[:2])

    @property
    def num_gains(self) -> int:
        """Gains of a wave: one for each terminal antenna and polarisation."""
        return self.shape.num_ue_antennas * self.shape.panel.polarizations

    def channel(self, index: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        """A user's channel ``[1, ue_ant, bs_ant, 1, subcarrier]``; waves ``[wave, 3]``, gains ``[wave, gain]``."""
        x = self.grid.waves(index[None], gain[None]).to(torch.complex64)
        return self.grid.joined(x, self.shape.num_ue_antennas)


def as_lists(tables: WaveTables) -> dict[str, list[list[int]]]:
    """Tables as the range coder takes them."""
    return {name: table.tolist() for name, table in vars(tables).items()}


def quantized(found: Pursuit, scale: torch.Tensor, threshold: float) -> tuple[Choice, torch.Tensor]:
    """Gains in steps of ``scale``, ``[user]``, of the waves that stand out by ``threshold`` steps.

    :returns: also whether their steps can be written, bool, ``[user]``; where they cannot, they are zero.
    """
    step = scale_of(scale).clamp_min(1e-300)
    count = (found.peak >= threshold * step[:, None]).long().cumprod(-1).sum(-1)
    steps = quantized_gains(found.gram, found.correlation, found.energy, count, step)
    writable = steps.abs().flatten(1).amax(-1) <= LARGEST
    steps = steps * writable[:, None, None, None]
    gain = torch.view_as_complex(steps.double()) * step[:, None, None]
    return Choice(scale, steps, squared_error(found.gram, found.correlation, found.energy, gain)), writable


def best_choice(found: PursuitT, largest: torch.Tensor, thresholds: Sequence[float],
                attempt: Callable[[PursuitT, torch.Tensor, float], tuple[torch.Tensor, Choice]]) -> Choice:
    """The best of all thresholds, each with the finest step whose report fits.

    :param largest: norm of the largest gain there can be, ``[user]``.
    :param attempt: gains in steps of a scale's code ``[user]`` at a threshold, and whether they fit.
    :returns: nothing at all for users of whom nothing fits, or nothing helps.
    """
    users = len(found.energy)
    best = Choice(torch.zeros(users, dtype=torch.long), torch.zeros(*found.correlation.shape, 2, dtype=torch.long),
                  found.energy.clone())
    for threshold in thresholds:
        # the largest step that uses a wave, and the smallest that the budget could ever want
        high = scale_code(largest / threshold)
        low = (high - 400).clamp_min(1)
        for _ in range(BISECTIONS):
            middle = (low + high) // 2
            fits, one = attempt(found, middle, threshold)
            better = fits & (one.error < best.error)
            best = Choice(torch.where(better, one.scale, best.scale),
                          torch.where(better[:, None, None, None], one.steps, best.steps),
                          torch.where(better, one.error, best.error))
            low, high = torch.where(fits, low, middle + 1), torch.where(fits, middle, high)
    return best
