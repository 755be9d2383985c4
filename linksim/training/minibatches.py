"""Minibatches for gradient descent: the drops of each step, drawn (or kept) ahead of their use, in fresh noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import torch

from linksim.blocks.prediction.trained import TrainingBatch
from linksim.channel.streaming import prefetched
from linksim.training.conditions import Chunk
from linksim.training.data import TrainingDrops, grid_of, joined, moved, num_bytes, selected
from linksim.training.epochs import EpochPlan, Pick


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
    both give the same values. The history's noise is another one in every pass, but the same for validation.

    :param drops: where they come from.
    :param plan: of this process.
    """

    def __init__(self, drops: TrainingDrops, plan: EpochPlan, rank: int = 0, num_ranks: int = 1) -> None:
        self.drops = drops
        self.plan = plan
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
                return ValidationBatch(chunk.condition, self.drops.observed(chunk, self.true(chunk)))

        yield from prefetched(make, self.validation_chunks, self.drops.device)

    def _observed(self, chunk: Chunk, number: int) -> TrainingBatch:
        """As seen in a pass."""
        training = self.drops.training
        true = self.drops.draw(chunk, number) if training.fresh_drops and number else self.true(chunk)
        return self.drops.observed(chunk, true, training.weights_seed, number)

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
