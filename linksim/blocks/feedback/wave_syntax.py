"""How plane waves are written: which numbers tell them, in which order, and which table each number has.

Waves stand in the order of their cells, delay first. A wave is the distance of its delay from the one before it, its
directions (as differences where the delays are close, since both then belong to one cluster), and its gains in steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from linksim.blocks.feedback.bits import SymbolReader
from linksim.blocks.feedback.matching_pursuit import WaveGrid
from linksim.blocks.feedback.range_coder import MAX_TOTAL
from linksim.blocks.feedback.symbols import (
    EVEN,
    NUM_DIRECT,
    NUM_TOKENS,
    extra_bits_of,
    read_number,
    symbols_of,
    tokens_of,
)
from linksim.core.errors import ReportError

NEAR = 3
"""How near a wave's delay is to the one before: the same, within a delay bin, or farther."""

NUM_DELAYS, NUM_PARTS = 3, 5
"""Tables of delays, by how near the last one was, and of gains, by how large the parts before are."""

_BITS_PER_WAVE, _LEAST_BITS_PER_WAVE = 18, 8


@dataclass(frozen=True)
class WaveTables:
    """Frequencies (or, in training, counts) of everything that is written.

    :param delay: ``[NUM_DELAYS, token]``; ``gain``, ``[NUM_PARTS, token]``.
    :param column: ``[NEAR, column cell]``; ``row`` likewise.
    """

    delay: torch.Tensor
    column: torch.Tensor
    row: torch.Tensor
    gain: torch.Tensor

    @classmethod
    def empty(cls, grid: WaveGrid) -> WaveTables:
        """Counts of nothing, float64."""
        sizes = (NUM_DELAYS, NUM_TOKENS), (NEAR, grid.sizes[1]), (NEAR, grid.sizes[2]), (NUM_PARTS, NUM_TOKENS)
        return cls(*(torch.zeros(size, dtype=torch.float64) for size in sizes))

    def frequencies(self) -> WaveTables:
        """Counts as integer frequencies of at least 1 that sum to at most 2^16 in a row."""
        return WaveTables(*(_frequencies(counts) for counts in vars(self).values()))


def _frequencies(counts: torch.Tensor) -> torch.Tensor:
    smooth = counts + 0.2 + 2 * counts.sum(0) / counts.sum().clamp_min(1)
    share = smooth / smooth.sum(-1, keepdim=True)
    return 1 + (share * (MAX_TOTAL - 2 * counts.shape[-1])).floor().long()


@dataclass(frozen=True)
class Written:
    """Waves of every user in the order in which they are written.

    :param used: bool, ``[user, wave]``, the used ones first.
    :param delay: distance from the delay before; ``near``, see `NEAR`; ``before``, that of the wave before.
    :param column: absolute or relative, from 0 on; ``row`` likewise.
    :param steps: ``[user, wave, gain, 2]``; ``part``, the table of each, of the same shape.
    """

    used: torch.Tensor
    delay: torch.Tensor
    near: torch.Tensor
    before: torch.Tensor
    column: torch.Tensor
    row: torch.Tensor
    steps: torch.Tensor
    part: torch.Tensor

    @classmethod
    def of(cls, index: torch.Tensor, steps: torch.Tensor, grid: WaveGrid) -> Written:
        """:param index: cells, ``[user, wave, 3]``; ``steps``, ``[user, wave, gain, 2]``, zero for waves not used."""
        used = steps.flatten(2).any(-1)
        cell = (index[..., 0] * grid.sizes[1] + index[..., 1]) * grid.sizes[2] + index[..., 2]
        order = torch.where(used, cell, torch.iinfo(torch.long).max).argsort(dim=-1, stable=True)
        used, index = used.gather(1, order), index.gather(1, order[..., None].expand_as(index))
        steps = steps.gather(1, order[..., None, None].expand_as(steps))
        last = torch.nn.functional.pad(index, (0, 0, 1, 0))[:, :-1]
        delay = index[..., 0] - last[..., 0]
        near = nearness(delay, grid)
        near[:, 0] = NEAR - 1  # the first wave has nothing to be near to
        before = torch.nn.functional.pad(near, (1, 0), value=NEAR - 1)[:, :-1]
        column, row = (torch.where(near < NEAR - 1, (index[..., axis] - last[..., axis]) % grid.sizes[axis],
                                   index[..., axis]) for axis in (1, 2))
        flat = steps.abs().flatten(2)
        most = torch.nn.functional.pad(flat.cummax(-1).values, (1, 0))[..., :-1]
        part = torch.where(torch.arange(flat.shape[-1]) == 0, 0, 1 + most.clamp_max(NUM_PARTS - 2))
        return cls(used, delay, near, before, column, row, steps, part.view_as(steps))

    def counted(self, tables: WaveTables) -> None:
        """Add what is written to counts."""
        used = self.used
        _count(tables.delay, self.before[used], tokens_of(self.delay[used]))
        _count(tables.column, self.near[used], self.column[used])
        _count(tables.row, self.near[used], self.row[used])
        _count(tables.gain, self.part[used].flatten(), tokens_of(self.steps[used].abs()).flatten())

    def expected_bits(self, tables: WaveTables, counts: list[int] | list[list[int]]) -> torch.Tensor:
        """Length of every user's code word to within a bit or two, ``[user]``, float64; infinite for too many waves.

        :param counts: frequencies of the numbers of waves, of all users (see `count_table`) or of each.
        """
        cost = {name: -(table.double() / table.sum(-1, keepdim=True)).log2() for name, table in vars(tables).items()}
        number = self.used.sum(-1)
        chance = torch.tensor(counts, dtype=torch.float64).expand(len(number), -1)
        most = chance.shape[1]
        bits = -(chance / chance.sum(-1, keepdim=True)).log2().gather(1, number[:, None].clamp_max(most - 1))[:, 0]
        bits = torch.where(number < most, bits, torch.inf)
        token = tokens_of(self.delay.clamp_min(0))
        wave = cost["delay"][self.before, token] + _inside(self.delay.clamp_min(0))
        wave = wave + cost["column"][self.near, self.column] + cost["row"][self.near, self.row]
        size = self.steps.abs()
        token = tokens_of(size)
        gain = cost["gain"][self.part, token] + extra_bits_of(token)
        return bits + ((wave + gain.flatten(2).sum(-1)) * self.used).sum(-1)

    def symbols(self, user: int, tables: dict[str, list[list[int]]], counts: list[int]
                ) -> tuple[list[int], list[Sequence[int]]]:
        """A user's symbols and the table of each."""
        count = int(self.used[user].sum())
        symbols: list[int] = [count]
        used: list[Sequence[int]] = [counts]

        def number(value: int, table: Sequence[int], signed: bool = False) -> None:
            # an unsigned number has no sign to write
            written = symbols_of(abs(value), value < 0)
            if not signed and len(written) > 1:
                del written[1]
            symbols.extend(written)
            used.extend([table, *[EVEN] * (len(written) - 1)])

        columns = [getattr(self, name)[user, :count].tolist()
                   for name in ("delay", "before", "near", "column", "row", "steps", "part")]
        for delay, before, near, column, row, steps, part in zip(*columns):
            number(delay, tables["delay"][before])
            symbols += [column, row]
            used += [tables["column"][near], tables["row"][near]]
            for pair, places in zip(steps, part):
                for value, place in zip(pair, places):
                    number(value, tables["gain"][place], signed=True)
        return symbols, used


def count_table(bits: int) -> list[int]:
    """Frequencies of the numbers of waves, 0 and up, that reports of ``bits`` have."""
    expected = bits / _BITS_PER_WAVE
    number = torch.arange(max(1, bits // _LEAST_BITS_PER_WAVE) + 1).double()
    share = torch.exp(-(number - expected).abs() / max(1.0, 0.15 * expected)) + 1e-4
    return (1 + (share / share.sum() * (MAX_TOTAL - 2 * len(number))).floor()).long().tolist()


def read_waves(stream: SymbolReader, tables: dict[str, list[list[int]]], counts: list[int], grid: WaveGrid,
               num_gains: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells ``[wave, 3]`` and gains in steps ``[wave, gain, 2]``, as `Written.symbols` wrote them.

    :raises ReportError: a cell that no encoder writes.
    """
    count = stream.read(counts)
    cells, gains = [], []
    last, before = (0, 0, 0), NEAR - 1
    for wave in range(count):
        distance = _unsigned(stream, tables["delay"][before])
        near = int(nearness(torch.tensor(distance), grid)) if wave else NEAR - 1
        offsets = [stream.read(tables[name][near]) for name in ("column", "row")]
        column, row = ((offset + (start if near < NEAR - 1 else 0)) % size
                       for offset, start, size in zip(offsets, last[1:], grid.sizes[1:]))
        last, before = (last[0] + distance, column, row), near
        if last[0] >= grid.sizes[0]:
            raise ReportError("report is corrupted: a delay beyond the grid")
        cells.append(last)
        gains.append(list(_parts(stream, tables["gain"], 2 * num_gains)))
    return torch.tensor(cells, dtype=torch.long).reshape(-1, 3), \
        torch.tensor(gains, dtype=torch.long).reshape(-1, num_gains, 2)


def nearness(distance: torch.Tensor, grid: WaveGrid) -> torch.Tensor:
    """0 for the same delay, 1 within a delay bin, 2 beyond."""
    return (distance > 0).long() + (distance > grid.delay_oversampling)


def _parts(stream: SymbolReader, tables: list[list[int]], count: int) -> Iterator[int]:
    most = 0
    for number in range(count):
        size, negative = read_number(stream, tables[1 + min(most, NUM_PARTS - 2) if number else 0])
        most = max(most, size)
        yield -size if negative else size


def _unsigned(stream: SymbolReader, table: list[int]) -> int:
    """The next number without a sign."""
    token = stream.read(table)
    if token < NUM_DIRECT:
        return token
    inside = 0
    for _ in range(token - NUM_DIRECT + 3):
        inside = 2 * inside + stream.read(EVEN)
    return (NUM_DIRECT << (token - NUM_DIRECT)) + inside


def _inside(number: torch.Tensor) -> torch.Tensor:
    """Plain bits of an unsigned number."""
    token = tokens_of(number)
    return extra_bits_of(token) - (token > 0).long()


def _count(counts: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> None:
    counts += torch.bincount(row * counts.shape[1] + column, minlength=counts.numel()).reshape(counts.shape)
