"""Minibatches for gradient descent: the drops of each step, drawn (or kept) ahead of their use, in fresh noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch

from linksim.blocks.prediction.learned import TrainingBatch
from linksim.channel.streaming import prefetched
from linksim.core.errors import ScenarioError
from linksim.core.seeding import generator, stream_seed
from linksim.scenario.training import WholeTraining
from linksim.training.conditions import Chunk
from linksim.training.data import TrainingDrops, grid_of, joined, moved, num_bytes, selected
from linksim.training.prepared import PreparedHistories

_STEPS_PER_WINDOW = 8
"""Drops are shuffled within windows of so many steps at least, so that few chunks are held at a time."""

Pick = tuple[int, int]
"""Number of a chunk in the list of chunks, number of a drop in it."""


class EpochPlan:
    """The steps of every epoch for one of the processes that share them.

    Each process has chunks of its own, of all conditions where there are enough. In each pass every one of its drops is
    in one step; an epoch is one pass, or with ``training.even_steps`` as many as make up for the fraction of drops.

    :param chunks: of training.
    :param training: complete; see `linksim.scenario.training.merged`.
    :param rank: of this process; ``num_ranks`` of them share every step.
    :raises ScenarioError: fewer drops than a step takes.
    """

    def __init__(self, chunks: list[Chunk], training: WholeTraining, rank: int = 0, num_ranks: int = 1) -> None:
        self.chunks = _shares(chunks, num_ranks)[rank]
        self._seed = training.weights_seed, rank
        self._num_drops = sum(chunk.num_drops for chunk in self.chunks)
        total = sum(chunk.num_drops for chunk in chunks)
        if training.batch_drops > total:
            used = f", of which training.fraction {training.fraction:g} is used" if training.fraction < 1 else ""
            raise ScenarioError(f"training.batch_drops: {training.batch_drops} drops per step, but there are {total} "
                                f"training drops{used}: use at most {total}, or more training.num_drops")
        batch = training.batch_drops // num_ranks
        self._held = held = [sum(chunk.num_drops for chunk in share) for share in _shares(chunks, num_ranks)]
        self.pass_steps = max(-(-drops // batch) for drops in held)
        self.num_passes = round(1 / training.fraction) if training.even_steps else 1
        if min(held) < self.pass_steps:
            raise ScenarioError(f"training.devices: {total} training drops in {len(chunks)} chunks cannot be shared by "
                                f"{num_ranks} processes: use fewer")
        conditions = len({chunk.condition for chunk in self.chunks})
        self._window = max(conditions, -(-_STEPS_PER_WINDOW * batch * len(self.chunks) // self._num_drops))

    @property
    def num_steps(self) -> int:
        """Steps of an epoch."""
        return self.num_passes * self.pass_steps

    def drops_seen(self, num_steps: int) -> int:
        """Drops in the first steps of a training, of all processes; in another pass each counts again."""
        passes, steps = divmod(num_steps, self.pass_steps)
        parts = [divmod(drops, self.pass_steps) for drops in self._held]
        return passes * sum(self._held) + sum(steps * small + min(steps, larger) for small, larger in parts)

    def steps(self, number: int) -> list[list[Pick]]:
        """The drops of every step of a pass, mixed over the conditions."""
        order = generator(stream_seed(*self._seed, "order", number))
        chunks = self._interleaved(order)
        waiting: list[Pick] = []
        steps: list[list[Pick]] = []
        small, larger = divmod(self._num_drops, self.pass_steps)
        for first in range(0, len(chunks), self._window):
            window = chunks[first:first + self._window]
            waiting += [(number, drop) for number in window for drop in range(self.chunks[number].num_drops)]
            waiting = [waiting[place] for place in _permutation(len(waiting), order)]
            # the sizes of steps differ by one at the most
            while len(steps) < self.pass_steps and len(waiting) >= (size := small + (len(steps) < larger)):
                steps.append(waiting[:size])
                waiting = waiting[size:]
        return steps

    def _interleaved(self, order: torch.Generator) -> list[int]:
        """Numbers of the chunks in random order, the conditions in turn."""
        by_condition: dict[int, list[int]] = {}
        for number in _permutation(len(self.chunks), order):
            by_condition.setdefault(self.chunks[number].condition, []).append(number)
        found: list[int] = []
        while left := [numbers for numbers in by_condition.values() if numbers]:
            found += [left[place].pop() for place in _permutation(len(left), order)]
        return found


def _shares(chunks: list[Chunk], num_ranks: int) -> list[list[Chunk]]:
    """The chunks of each process: those of every condition in turn."""
    shares: list[list[Chunk]] = [[] for _ in range(num_ranks)]
    seen: dict[int, int] = {}
    for chunk in chunks:
        turn = seen.setdefault(chunk.condition, chunk.condition)
        shares[turn % num_ranks].append(chunk)
        seen[chunk.condition] += 1
    return shares


def _permutation(count: int, order: torch.Generator) -> list[int]:
    return torch.randperm(count, generator=order).tolist()


class Minibatch:
    """The drops of one step: one batch for all that have the same times, bands and panel, so mostly a single one."""

    def __init__(self, parts: list[TrainingBatch]) -> None:
        self.parts = parts

    @property
    def num_drops(self) -> int:
        return sum(len(part.history.h) for part in self.parts)


@dataclass(frozen=True)
class ValidationBatch:
    """Validation drops of one condition."""

    condition: int
    batch: TrainingBatch


class Minibatches:
    """The steps of each epoch, and the validation drops.

    Channels are kept in memory from epoch to epoch as far as ``training.cache_gb`` allows, and drawn again otherwise;
    both give the same values. The history's noise is another one in every pass (without ``training.fresh_noise`` the
    same one), but always the same for validation. What a block makes of a history before its weights come in is kept
    as long as that is the same.

    :param drops: where they come from.
    :param plan: of this process.
    :param block: that learns from them: its ``prepared`` is asked where it has one, and where it sees each antenna pair
        by itself there are ``training.antenna_pairs`` of each user.
    """

    def __init__(self, drops: TrainingDrops, plan: EpochPlan, rank: int = 0, num_ranks: int = 1, block: Any = None
                 ) -> None:
        self.drops = drops
        self.plan = plan
        self._prepared = PreparedHistories(block, drops.training)
        self._antenna_pairs = drops.training.antenna_pairs if getattr(block, "sees_antenna_pairs", False) else 0
        self.validation_chunks = [chunk for chunk in drops.chunks if chunk.validation][rank::num_ranks]
        self._grids = [grid_of(channel) for channel, _ in drops.conditions]
        self._kept: dict[int, TrainingBatch] = {}
        self._bytes_left = drops.training.cache_gb * 1e9

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Minibatch]:
        """The steps of an epoch in order, from ``first_step`` on."""
        skipped, first_step = divmod(first_step, self.plan.pass_steps)
        for one in range(skipped, self.plan.num_passes):
            yield from self._pass(number * self.plan.num_passes + one, first_step if one == skipped else 0)

    def _pass(self, number: int, first_step: int) -> Iterator[Minibatch]:
        steps = self.plan.steps(number)[first_step:]
        last_use = {chunk: step for step, picks in enumerate(steps) for chunk, _ in picks}
        order = list(dict.fromkeys(chunk for picks in steps for chunk, _ in picks))

        def make(chunk: int) -> TrainingBatch:
            with torch.no_grad():
                return self._observed(self.plan.chunks[chunk], number)

        held: dict[int, TrainingBatch] = {}
        with closing(prefetched(make, order, self.drops.device, ahead=2)) as made:
            coming = iter(zip(order, made))
            for step, picks in enumerate(steps):
                while any(chunk not in held for chunk, _ in picks):
                    chunk, batch = next(coming)
                    held[chunk] = batch
                yield self._assembled(picks, held)
                for chunk in {chunk for chunk, _ in picks if last_use[chunk] == step}:
                    del held[chunk]

    def training(self) -> Iterator[TrainingBatch]:
        """This process's training drops once, chunk by chunk, in the noise of the first pass."""
        for chunk in self.plan.chunks:
            with torch.no_grad():
                yield self._observed(chunk, 0)

    def validation(self) -> Iterator[ValidationBatch]:
        """All validation drops, chunk by chunk."""
        def make(chunk: Chunk) -> ValidationBatch:
            with torch.no_grad():
                seen = self.observed(chunk, self.true(chunk))
                return ValidationBatch(chunk.condition, self.prepared(seen, chunk))

        yield from prefetched(make, self.validation_chunks, self.drops.device)

    def _observed(self, chunk: Chunk, number: int) -> TrainingBatch:
        """As seen in a pass."""
        training = self.drops.training
        true = self.drops.draw(chunk, number) if training.fresh_drops and number else self.true(chunk)
        if training.fresh_noise:
            return self.prepared(self.observed(chunk, true, training.weights_seed, number))
        return self.prepared(self.observed(chunk, true, training.weights_seed, 0), chunk)

    def observed(self, chunk: Chunk, true: TrainingBatch, *noise: int | str) -> TrainingBatch:
        """As the block sees a chunk; see `TrainingDrops.observed`."""
        return self.drops.observed(chunk, true, *noise, antenna_pairs=self._antenna_pairs)

    def prepared(self, batch: TrainingBatch, kept_for: Chunk | None = None) -> TrainingBatch:
        """With what the block makes of its histories.

        :param kept_for: the chunk whose history is the same whenever it is asked for.
        """
        return self._prepared.put(batch, kept_for)

    def true(self, chunk: Chunk) -> TrainingBatch:
        """The true channels of a chunk, kept or drawn."""
        if chunk.index in self._kept:
            return moved(self._kept[chunk.index], self.drops.device)
        batch = self.drops.draw(chunk)
        again = chunk.validation or not self.drops.training.fresh_drops
        if again and num_bytes(batch) <= self._bytes_left:
            self._bytes_left -= num_bytes(batch)
            self._kept[chunk.index] = moved(batch, "cpu")
        return batch

    def _assembled(self, picks: list[Pick], held: dict[int, TrainingBatch]) -> Minibatch:
        by_chunk: dict[int, list[int]] = {}
        for chunk, drop in picks:
            by_chunk.setdefault(chunk, []).append(drop)
        by_grid: dict[tuple, list[TrainingBatch]] = {}
        for chunk, drops in by_chunk.items():
            index = torch.tensor(drops, device=held[chunk].history.h.device)
            grid = self._grids[self.plan.chunks[chunk].condition]
            by_grid.setdefault(grid, []).append(selected(held[chunk], index))
        return Minibatch([joined(parts) for parts in by_grid.values()])
