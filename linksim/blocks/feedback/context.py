"""Angle-delay coefficients with context-based entropy coding: where energy was found, more is expected."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from linksim.blocks.feedback.base import ReportGrid
from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.learned import ClosedFormCodec, FeedbackShape
from linksim.blocks.feedback.quantizer import SCALE_BITS, scale_code, scale_of
from linksim.blocks.feedback.symbols import (
    EVEN,
    NUM_DIRECT,
    NUM_TOKENS,
    extra_bits_of,
    frequency_tables,
    magnitudes_of,
    read_number,
    symbols_of,
    tokens_of,
)
from linksim.core.csi import Csi, Panel
from linksim.core.registry import register
from linksim.core.types import PositiveInt
from linksim.mimo.angle_delay import from_angle_delay, to_angle_delay

STEP_BITS = 8
STEPS_PER_OCTAVE = 16
"""Steps of the quantiser stand 0.38 dB apart; number 0 sends no values at all."""

NUM_LEVELS, NUM_PARTS, NUM_DELAYS = 7, 4, 12
NUM_CONTEXTS = NUM_LEVELS**2 * NUM_DELAYS * NUM_PARTS
NUM_OCTAVES = 2**STEP_BITS // STEPS_PER_OCTAVE

_LEVELS = torch.tensor([min(number.bit_length(), NUM_LEVELS - 1) for number in range(2**NUM_LEVELS)])


def delay_classes(num_rows: int) -> torch.Tensor:
    """Class of every delay row: octaves of the delay, and one for the last rows, where delays below zero lie."""
    rows = torch.arange(1, num_rows + 1).double().log2().floor().long().clamp_max(NUM_DELAYS - 2)
    rows[num_rows - num_rows // 40:] = NUM_DELAYS - 1
    return rows


def contexts_of(magnitude: torch.Tensor) -> torch.Tensor:
    """Context of real and imaginary part of every coefficient, from what is written before it.

    Delay rows are written one after the other, in each the beams in turn. A context is: how much was found in the two
    rows before (at the same beam and its neighbours), how much at the two beams before, the class of the delay, and
    which part it is; the imaginary part knows the real one.

    :param magnitude: quantised, int64, ``[..., delay, beam, 2]``.
    :returns: of the same shape, 0 to `NUM_CONTEXTS` - 1.
    """
    total = magnitude.sum(-1)
    before = [torch.nn.functional.pad(total, (0, 0, rows, 0))[..., :total.shape[-2], :] for rows in (1, 2)]
    around = [row.roll(1, -1) + row.roll(-1, -1) for row in before]
    rows = 4 * before[0] + 2 * around[0] + 2 * before[1] + around[1]
    beams = [torch.nn.functional.pad(total, (count, 0))[..., :total.shape[-1]] for count in (1, 2)]
    level = _LEVELS[rows.clamp_max(len(_LEVELS) - 1)] * NUM_LEVELS \
        + _LEVELS[(4 * beams[0] + 2 * beams[1]).clamp_max(len(_LEVELS) - 1)]
    shared = (level * NUM_DELAYS + delay_classes(total.shape[-2])[:, None]) * NUM_PARTS
    return torch.stack([shared, shared + 1 + magnitude[..., 0].clamp_max(NUM_PARTS - 2)], -1)


@register("feedback", "context", trains=True)
class ContextCodec(ClosedFormCodec):
    """Uniformly quantised angle-delay coefficients, entropy-coded by what their neighbours turned out to be.

    Nothing says where the strong coefficients are: a coefficient whose neighbours in delay and angle are zero is
    expected to be zero at a cost of a thousandth of a bit, one in a cluster at a fair one. The token frequencies of
    every context are counted in training drops, for each octave of the quantiser's step. The encoder takes the finest
    step whose report fits the budget. Neighbouring beams are neighbours in the order of the antennas.

    :param bits: per report, at most.
    :param num_table_drops: training drops (times terminal antennas) that frequencies are counted in.

    Source: the idea is that of context-based coding of wavelet coefficients, e.g. Wu, "Context quantization with Fisher
    discriminant for adaptive embedded wavelet image coding", DCC 1999; contexts and tables are this project's.
    """

    def __init__(self, bits: PositiveInt = 512, num_table_drops: PositiveInt = 300) -> None:
        super().__init__()
        self.bits = bits
        self.num_table_drops = num_table_drops
        self._kept: dict[bool, list[torch.Tensor]] = {False: [], True: []}

    def prepare(self, shape: FeedbackShape) -> None:
        self.shape = shape
        self.register_buffer("tables", torch.ones(NUM_OCTAVES, NUM_CONTEXTS, NUM_TOKENS, dtype=torch.int32))
        self.register_buffer("centroids", torch.arange(NUM_DIRECT, dtype=torch.float32).repeat(NUM_OCTAVES, 1))

    def minimum_bits(self, grid: ReportGrid) -> int:
        return SCALE_BITS + STEP_BITS

    def observe(self, csi: Csi, validation: bool) -> None:
        users = csi.h.flatten(0, 1)[csi.h.abs().flatten(2).amax(-1).flatten() > 0]
        room = self.num_table_drops - sum(len(part) for part in self._kept[validation])
        if room > 0 and len(users):
            self._kept[validation].append(_coefficients(users[:room].cpu(), csi.panel))

    def solve(self) -> float:
        training = torch.cat(self._kept[False])
        for octave in range(NUM_OCTAVES):
            counts = torch.zeros(NUM_CONTEXTS, NUM_TOKENS, dtype=torch.float64)
            sums = torch.zeros(2, NUM_DIRECT, dtype=torch.float64)
            for number in (STEPS_PER_OCTAVE * octave + 4, STEPS_PER_OCTAVE * octave + 12):
                for part in training.split(20):
                    ratio = torch.view_as_real(part).abs().double() / _step(number)
                    magnitude = magnitudes_of(ratio, 1.0)
                    token = tokens_of(magnitude)
                    at = (contexts_of(magnitude) * NUM_TOKENS + token).flatten()
                    counts += torch.bincount(at, minlength=counts.numel()).reshape(counts.shape)
                    direct = token < NUM_DIRECT
                    for row, weights in zip(sums, (ratio[direct], None)):
                        row += torch.bincount(token[direct], weights, minlength=NUM_DIRECT)
            # rare contexts lean on the same neighbours at any delay
            by_delay = counts.unflatten(0, (NUM_LEVELS**2, NUM_DELAYS, NUM_PARTS))
            pooled = by_delay.sum(1, keepdim=True) + 0.05
            smooth = by_delay + 4 * pooled / pooled.sum(-1, keepdim=True)
            self.tables[octave] = frequency_tables(smooth.flatten(0, 2)).int()
            middle = torch.arange(NUM_DIRECT, dtype=torch.float64)
            self.centroids[octave] = ((sums[0] + middle) / (sums[1] + 1)).float()
            self.centroids[octave, 0] = 0
        held_out = torch.cat(self._kept[True] or self._kept[False])[:50]
        self._kept = {False: [], True: []}
        error = 0.0
        for g in held_out:
            number = self._finest(g)
            parts = torch.view_as_real(g)
            decoded = self._values(magnitudes_of(parts, _step(number)), parts < 0, number) if number else 0 * g
            error += float((decoded - g).abs().square().sum())
        return error / len(held_out)

    def encode_users(self, csi: Csi) -> list[BitWriter]:
        self.check_shape(ReportGrid.of(csi))
        writers = []
        for h in csi.h.cpu().flatten(0, 1):
            writer = BitWriter()
            code = scale_code(h.abs().square().sum().sqrt())
            writer.write(int(code), SCALE_BITS, "scale")
            if int(code):
                g = _coefficients(h[None], csi.panel, scale_of(code))[0]
                self._write_values(writer, g)
            writers.append(writer)
        return writers

    def _write_values(self, writer: BitWriter, g: torch.Tensor) -> None:
        number = self._finest(g)
        while True:
            attempt = BitWriter()
            attempt.write(number, STEP_BITS, "step")
            if number:
                attempt.write_symbols(*self._symbols(g, number))
            if attempt.num_bits + writer.num_bits <= self.bits:
                writer.append(attempt)
                return
            number -= 1

    def _finest(self, g: torch.Tensor) -> int:
        """Number of the finest step whose expected length fits the budget, by bisection."""
        parts = torch.view_as_real(g)
        low, high = 0, 2**STEP_BITS - 1
        while low < high:
            middle = (low + high + 1) // 2
            magnitude = magnitudes_of(parts, _step(middle))
            token = tokens_of(magnitude)
            table = self.tables[middle // STEPS_PER_OCTAVE].double()
            context = contexts_of(magnitude)
            chance = table[context, token] / table.sum(-1)[context]
            length = float(-chance.log2().sum() + extra_bits_of(token).sum())
            if length + 1 + SCALE_BITS + STEP_BITS <= self.bits:
                low = middle
            else:
                high = middle - 1
        return low

    def _symbols(self, g: torch.Tensor, number: int) -> tuple[list[int], list[Sequence[int]]]:
        parts = torch.view_as_real(g)
        magnitude = magnitudes_of(parts, _step(number))
        tables = self._tables(number)
        symbols: list[int] = []
        used: list[Sequence[int]] = []
        for context, one, negative in zip(contexts_of(magnitude).flatten().tolist(), magnitude.flatten().tolist(),
                                          (parts < 0).flatten().tolist()):
            written = symbols_of(one, negative)
            symbols += written
            used += [tables[context], *[EVEN] * (len(written) - 1)]
        return symbols, used

    def decode_users(self, readers: Sequence[BitReader], grid: ReportGrid) -> torch.Tensor:
        self.check_shape(grid)
        decoded = []
        for reader in readers:
            scale = reader.read(SCALE_BITS, "scale")
            number = reader.read(STEP_BITS, "step") if scale else 0
            shape = grid.num_ue_antennas, grid.num_subcarriers, grid.panel.num_antennas
            g = self._read_values(reader, number, shape) if number else torch.zeros(shape, dtype=torch.complex64)
            decoded.append(g * scale_of(torch.tensor(scale)))
        g = torch.stack(decoded).mT.unsqueeze(-2)  # [user, ue_ant, beam, 1, delay]
        return from_angle_delay(g, grid.panel).unflatten(0, grid.shape[:2]).to(torch.complex64)

    def _read_values(self, reader: BitReader, number: int, shape: tuple[int, int, int]) -> torch.Tensor:
        """The same contexts as `contexts_of`, one coefficient at a time."""
        ue_ant, delays, beams = shape
        tables, levels = self._tables(number), _LEVELS.tolist()
        last, classes = len(levels) - 1, delay_classes(delays).tolist()
        stream = reader.symbols()
        found: list[tuple[int, bool]] = []
        for _ in range(ue_ant):
            one, two = [0] * beams, [0] * beams
            for delay in range(delays):
                row = [0] * beams
                for beam in range(beams):
                    right = beam + 1 - beams  # indices below zero count from the end: the beams are a circle
                    rows = 4 * one[beam] + 2 * (one[beam - 1] + one[right]) + 2 * two[beam] + two[beam - 1] + two[right]
                    near = 4 * (row[beam - 1] if beam > 0 else 0) + 2 * (row[beam - 2] if beam > 1 else 0)
                    level = levels[min(rows, last)] * NUM_LEVELS + levels[min(near, last)]
                    shared = (level * NUM_DELAYS + classes[delay]) * NUM_PARTS
                    real = read_number(stream, tables[shared])
                    imaginary = read_number(stream, tables[shared + 1 + min(real[0], NUM_PARTS - 2)])
                    row[beam] = real[0] + imaginary[0]
                    found += (real, imaginary)
                one, two = row, one
        stream.finish()
        magnitude = torch.tensor([size for size, _ in found]).reshape(*shape, 2)
        negative = torch.tensor([sign for _, sign in found]).reshape(*shape, 2)
        return self._values(magnitude, negative, number)

    def _values(self, magnitude: torch.Tensor, negative: torch.Tensor, number: int) -> torch.Tensor:
        direct = self.centroids[number // STEPS_PER_OCTAVE][magnitude.clamp_max(NUM_DIRECT - 1)]
        value = torch.where(magnitude < NUM_DIRECT, direct, magnitude.float()) * _step(number)
        return torch.view_as_complex(torch.where(negative, -value, value).contiguous())

    def _tables(self, number: int) -> list[list[int]]:
        return self.tables[number // STEPS_PER_OCTAVE].tolist()


def _step(number: int) -> float:
    """Relative to the norm of a user's channel."""
    return 2 ** (-number / STEPS_PER_OCTAVE)


def _coefficients(h: torch.Tensor, panel: Panel, norm: torch.Tensor | None = None) -> torch.Tensor:
    """``[user, ue_ant, bs_ant, 1, subcarrier]`` to ``[user, ue_ant, delay, beam]``, over its norm or the one given."""
    g = to_angle_delay(h, panel).squeeze(-2).mT
    if norm is None:
        norm = g.abs().square().sum((1, 2, 3), keepdim=True).sqrt()
    return (g / norm).to(torch.complex64).contiguous()
