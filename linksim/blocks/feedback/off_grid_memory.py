"""Plane waves between the cells of a DFT, told once and followed from report to report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from linksim.blocks.feedback.base import Report, instants
from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.learned import FeedbackShape
from linksim.blocks.feedback.matching_pursuit import Pursuit, pursue
from linksim.blocks.feedback.off_grid import LEAST_BITS_PER_WAVE, Choice, OffGridCodec, as_lists, best_choice, quantized
from linksim.blocks.feedback.quantizer import scale_of
from linksim.blocks.feedback.range_coder import MAX_TOTAL
from linksim.blocks.feedback.symbols import (
    EVEN,
    LOWEST_CLASS,
    NUM_CLASSES,
    NUM_TOKENS,
    code_lengths,
    frequency_tables,
    read_number,
    symbols_of,
    tokens_of,
)
from linksim.blocks.feedback.wave_memory import WaveMemory
from linksim.blocks.feedback.wave_syntax import WaveTables, Written, read_waves
from linksim.core.csi import Csi
from linksim.core.errors import ReportError
from linksim.core.registry import register

THRESHOLDS = (0.7, 1.0, 1.4, 2.0, 3.0, 4.5)
"""Waves are added that stand out of what the known ones leave by so many steps; the encoder tries each."""

_TRAINING_BITS = (128, 256, 512)
"""Budgets at which tables are counted."""

_ROUNDS = 2
"""Rounds of counting, each with the tables of the round before."""

_TRAINING_HISTORIES = 24
"""Histories kept for the first report's tables."""

_BITS_PER_KNOWN_WAVE = 5
"""As many waves are remembered as a report has bits for at this price."""


@dataclass(frozen=True)
class Continuation(Pursuit):
    """What is left to tell of channels whose waves are partly known: those first, then new ones, strongest first.

    :param known: bool, ``[user, wave]``; the peak of known waves is infinite.
    :param level: root mean square error of predicted gains, ``[user, wave]``, zero for new waves.
    :param scale: code of the last step, ``[user]``.
    """

    known: torch.Tensor
    level: torch.Tensor
    scale: torch.Tensor


@register("feedback", "off_grid_memory", trains=True)
class OffGridMemoryCodec(OffGridCodec):
    """Off-grid waves that both sides remember: reports tell new ones, and how gains differ from what was expected.

    A path's delay and direction last for many reports, and cost two thirds of a wave's bits; its gain turns, often
    evenly. Both sides predict every gain from decoded ones as zero, as the last, or as the last turned on, whichever
    was closest before, and the prediction's own error chooses the table with which the difference is written. The
    first report is one of `off_grid`. A lost report leaves both sides out of step, so bit errors are refused. Both
    sides have to round alike, as they do on one machine.

    Source: this project's. Predictive coding of parameters, e.g. Gersho and Gray, "Vector Quantization and Signal
    Compression", Kluwer 1992, chapter 7; backward adaptation needs no side information.
    """

    remembers = True

    def prepare(self, shape: FeedbackShape) -> None:
        super().prepare(shape)
        for name, counts in vars(WaveTables.empty(self.grid).frequencies()).items():
            self.register_buffer(f"new_{name}", counts.int())
        self.register_buffer("difference", _laplacian().int())
        self.register_buffer("step_change", frequency_tables(0.5 ** torch.arange(NUM_TOKENS)[None]).int())

    # fitting

    def solve(self) -> float:
        histories = {held: torch.cat(parts) if parts else None for held, parts in self._kept.items()}
        self._kept = {held: [part[..., :1, :] for part in parts] for held, parts in self._kept.items()}
        super().solve()
        bits, history = self.bits, histories[False][:_TRAINING_HISTORIES]
        for _ in range(_ROUNDS if history.shape[-2] > 1 else 0):
            counted = _Counts(WaveTables.empty(self.grid), torch.zeros(NUM_CLASSES, NUM_TOKENS, dtype=torch.float64),
                              torch.zeros(1, NUM_TOKENS, dtype=torch.float64))
            for self.bits in _TRAINING_BITS:
                self._sequence(history, counted)
            for name, table in vars(counted.new.frequencies()).items():
                getattr(self, f"new_{name}").copy_(table)
            self.difference.copy_(frequency_tables(counted.difference))
            self.step_change.copy_(frequency_tables(counted.step_change))
        self.bits = bits
        held_out = history if histories[True] is None else histories[True][:_TRAINING_HISTORIES]
        _, decoded = self._sequence(held_out)
        error = (decoded[-1] - held_out[..., -1:, :]).abs().square().flatten(1).sum(-1)
        return float((error / held_out[..., -1:, :].abs().square().flatten(1).sum(-1)).mean())

    # reports

    def encode_history(self, csi: Csi) -> Report:
        grid = self._checked_grid(instants(csi))
        self.check_shape(grid)
        writers, _ = self._sequence(csi.h.flatten(0, 1).cpu())
        # drops, then times, then users, as reports of instants are
        users = csi.h.shape[1]
        ordered = [writers[time][drop * users + user] for drop in range(csi.h.shape[0])
                   for time in range(csi.h.shape[-2]) for user in range(users)]
        return Report.of(ordered, grid)

    def decode_history(self, report: Report, num_times: int) -> tuple[Csi, torch.Tensor]:
        self.check_shape(report.grid)
        users = report.grid.num_users
        h = torch.zeros(report.grid.shape, dtype=torch.complex64)
        concealed = torch.zeros_like(report.num_bits, dtype=torch.bool)
        for drop in range(len(concealed) // num_times):
            for user in range(users):
                memory = WaveMemory.empty(self.num_gains)
                for row in range(drop * num_times, (drop + 1) * num_times):
                    try:
                        reader = BitReader(report.payload[row * users + user], int(report.num_bits[row, user]))
                        waves, memory = self._next(memory, reader)
                        reader.finish()
                    except ReportError:  # the memory is lost: nothing that follows can be read
                        concealed[row:(drop + 1) * num_times, user] = True
                        break
                    h[row, user] = self.channel(*waves)[0]
        return self._as_csi(h, report.grid), concealed

    def _sequence(self, h: torch.Tensor, counted: _Counts | None = None
                  ) -> tuple[list[list[BitWriter]], list[torch.Tensor]]:
        """Reports of every time and user, and what they tell, a time each.

        :param h: ``[user, ue_ant, bs_ant, time, subcarrier]``.
        """
        memories = [WaveMemory.empty(self.num_gains) for _ in h]
        sent, decoded = [], []
        for now in h.split(1, -2):
            if not sent:
                writers = [writer for part in now.split(64) for writer in self.written(part)]
            else:
                writers = self._continued(now, memories, counted)
            # what the base station will know, bit by bit
            readers = [BitReader(writer.to_bytes(), writer.num_bits) for writer in writers]
            found = [self._next(memory, reader) for memory, reader in zip(memories, readers)]
            memories = [memory for _, memory in found]
            sent.append(writers)
            decoded.append(torch.cat([self.channel(*waves) for waves, _ in found]))
        return sent, decoded

    def _next(self, memory: WaveMemory, reader: BitReader) -> tuple[tuple[torch.Tensor, torch.Tensor], WaveMemory]:
        """Waves that the next report tells, and the memory after it."""
        most = max(8, self.bits // _BITS_PER_KNOWN_WAVE)
        if not memory.reports:
            cells, gain, scale = self.read(reader, self.num_gains)
            step = float(scale_of(torch.tensor(scale)))
            return (cells, gain), memory.after(memory.gain, cells, gain, scale, step, most)
        known, level = memory.prediction()
        cells, new_gain, scale = memory.cells[:0], memory.gain[:0], memory.scale
        step = float(scale_of(torch.tensor(scale)))
        if reader.read(1, "repeated"):
            stream = reader.symbols()
            size, negative = read_number(stream, self.step_change[0].tolist())
            scale += -size if negative else size
            step = float(scale_of(torch.tensor(scale)))
            tables, steps = self.difference.tolist(), []
            for place in _classes(level, torch.tensor(step)).tolist():
                for _ in range(2 * self.num_gains):
                    size, negative = read_number(stream, tables[place])
                    steps.append(-size if negative else size)
            steps = torch.tensor(steps, dtype=torch.float64).reshape(*known.shape, 2)
            known = known + torch.view_as_complex(steps) * step
            cells, new_steps = read_waves(stream, as_lists(self._new_tables), _count_table(self.bits, memory.num_new),
                                          self.grid, self.num_gains)
            stream.finish()
            new_gain = torch.view_as_complex(new_steps.double()) * step
        waves = torch.cat([memory.cells, cells]), torch.cat([known, new_gain])
        return waves, memory.after(known, cells, new_gain, scale, step, most)

    @property
    def _new_tables(self) -> WaveTables:
        return WaveTables(self.new_delay, self.new_column, self.new_row, self.new_gain)

    def _continued(self, h: torch.Tensor, memories: Sequence[WaveMemory], counted: _Counts | None) -> list[BitWriter]:
        """The next report of each user."""
        found = self._left(self.grid.separated(h), memories)
        counts = [_count_table(self.bits, memory.num_new) for memory in memories]
        largest = torch.where(found.known, found.correlation.abs().square().sum(-1).sqrt(), found.peak).amax(-1)

        def attempt(found: Continuation, scale: torch.Tensor, threshold: float) -> tuple[torch.Tensor, Choice]:
            choice, writable = quantized(found, scale, threshold)
            return (self._bits(found, scale, choice.steps, counts) <= self.bits) & writable, choice

        choice = best_choice(found, largest.clamp_min(0), THRESHOLDS, attempt)
        new = Written.of(found.index, choice.steps * ~found.known[..., None, None], self.grid)
        if counted is not None:
            counted.add(found, choice, new)
        tables, differences = as_lists(self._new_tables), self.difference.tolist()
        writers = []
        for user, (scale, memory) in enumerate(zip(choice.scale.tolist(), memories)):
            writer = BitWriter()
            writer.write(int(scale > 0), 1, "repeated")
            if scale:
                change = scale - memory.scale
                symbols = symbols_of(abs(change), change < 0)
                used = [self.step_change[0].tolist(), *[EVEN] * (len(symbols) - 1)]
                classes = _classes(memory.prediction()[1], scale_of(torch.tensor(scale))).tolist()
                for place, parts in zip(classes, choice.steps[user].flatten(1).tolist()):
                    for part in parts:
                        number = symbols_of(abs(part), part < 0)
                        symbols += number
                        used += [differences[place], *[EVEN] * (len(number) - 1)]
                more, theirs = new.symbols(user, tables, counts[user])
                writer.write_symbols([*symbols, *more], [*used, *theirs])
            writers.append(writer)
        return writers

    def _bits(self, found: Continuation, scale: torch.Tensor, steps: torch.Tensor, counts: list[list[int]]
              ) -> torch.Tensor:
        """Length of every user's report to within a bit or two, ``[user]``."""
        place = _classes(found.level, scale_of(scale)[:, None])
        cost = code_lengths(self.difference)[place[..., None], tokens_of(steps.abs()).flatten(2)].sum(-1)
        change = code_lengths(self.step_change)[0, tokens_of((scale - found.scale).abs())]
        new = Written.of(found.index, steps * ~found.known[..., None, None], self.grid)
        return 3 + change + (cost * found.known).sum(-1) + new.expected_bits(self._new_tables, counts)

    def _left(self, x: torch.Tensor, memories: Sequence[WaveMemory]) -> Continuation:
        """What predictions leave, and the waves that could tell it."""
        most = max(len(memory.cells) for memory in memories)
        cells, level, known = torch.zeros(len(x), most, 3, dtype=torch.long), torch.zeros(len(x), most).double(), \
            torch.zeros(len(x), most, dtype=torch.bool)
        gain = torch.zeros(len(x), most, self.num_gains, dtype=torch.complex128)
        for user, memory in enumerate(memories):
            count = len(memory.cells)
            cells[user, :count], known[user, :count] = memory.cells, True
            gain[user, :count], level[user, :count] = memory.prediction()
        left = x - self.grid.waves(cells, gain).to(x.dtype)
        scale = torch.tensor([memory.scale for memory in memories])
        rest = left - self.grid.waves(cells, self._explained(left, cells, known, level, scale)).to(x.dtype)
        new = pursue(rest, self.grid, max(1, min(self.bits // LEAST_BITS_PER_WAVE, x[0].numel() // 2)))
        # users' known waves, then their new ones, without a gap
        order = torch.cat([torch.where(known, 0, 2), torch.ones_like(new.peak, dtype=torch.long)], 1).argsort(
            dim=-1, stable=True)
        index = torch.cat([cells, new.index], 1).gather(1, order[..., None].expand(-1, -1, 3))
        peak = torch.cat([torch.where(known, torch.inf, -1.0), new.peak], 1).gather(1, order)
        level = torch.cat([level, torch.zeros_like(new.peak)], 1).gather(1, order)
        known = torch.cat([known, torch.zeros_like(new.peak, dtype=torch.bool)], 1).gather(1, order)
        return Continuation(index, peak, self.grid.gram(index), self.grid.correlation(left, index).to(torch.complex128),
                            torch.view_as_real(left).double().square().flatten(1).sum(-1), known, level, scale)

    def _explained(self, left: torch.Tensor, cells: torch.Tensor, known: torch.Tensor, level: torch.Tensor,
                   scale: torch.Tensor) -> torch.Tensor:
        """What known waves explain of the rest, ``[user, wave, gain]``: the linear estimate that knows how wrong their
        gains may be.
        """
        both = known[:, :, None] & known[:, None, :]
        noise = scale_of(scale)[:, None].square() / 12
        loading = torch.where(known, (noise / level.square().clamp_min(1e-300)).clamp(1e-4, 1e4), 1.0)
        gram = torch.where(both, self.grid.gram(cells), 0) + torch.diag_embed(loading).to(torch.complex128)
        seen = self.grid.correlation(left, cells).to(torch.complex128) * known[..., None]
        return torch.linalg.solve(gram, seen)


@dataclass
class _Counts:
    """Tokens that training reports have."""

    new: WaveTables
    difference: torch.Tensor
    step_change: torch.Tensor

    def add(self, found: Continuation, choice: Choice, new: Written) -> None:
        told = choice.scale > 0
        place = _classes(found.level, scale_of(choice.scale)[:, None])[..., None].expand(
            *found.known.shape, 2 * found.correlation.shape[-1])
        used = found.known & told[:, None]
        token = tokens_of(choice.steps.abs()).flatten(2)
        self.difference += torch.bincount((place * NUM_TOKENS + token)[used].flatten(),
                                          minlength=self.difference.numel()).view_as(self.difference)
        change = tokens_of((choice.scale - found.scale).abs()[told])
        self.step_change += torch.bincount(change, minlength=NUM_TOKENS)
        new.counted(self.new)


def _classes(level: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Table of differences that are wrong by ``level``, in half octaves of steps."""
    ratio = (level / step.clamp_min(1e-300)).clamp_min(1e-30)
    return ((2 * ratio.log2()).round() - LOWEST_CLASS).clamp(0, NUM_CLASSES - 1).long()


def _laplacian() -> torch.Tensor:
    """Tables of differences before any are counted: Laplacian ones of each class's deviation."""
    deviation = 2.0 ** ((torch.arange(NUM_CLASSES).double() + LOWEST_CLASS) / 2)
    edges = torch.cat([torch.zeros(1), torch.arange(8) + 0.5, 8.0 * 2.0 ** torch.arange(1, NUM_TOKENS - 7)]).double()
    beyond = torch.exp(-(2**0.5) * edges / deviation[:, None])
    return frequency_tables(1e4 * (beyond[:, :-1] - beyond[:, 1:]).clamp_min(0))


def _count_table(bits: int, last: int) -> list[int]:
    """Frequencies of the numbers of new waves, 0 and up, after a report with ``last`` of them."""
    number = torch.arange(bits // LEAST_BITS_PER_WAVE + 2).double()
    share = torch.exp(-(number - 0.7 * last).abs() / (1 + 0.3 * last)) + 1e-4
    return (1 + (share / share.sum() * (MAX_TOTAL - 2 * len(number))).floor()).long().tolist()
