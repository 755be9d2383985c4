"""Which drops make up each step of a pass over them: an order that depends on seed and pass alone. Nothing is drawn."""

from __future__ import annotations

import torch

from linksim.core.errors import ScenarioError
from linksim.core.seeding import generator, stream_seed
from linksim.scenario.training import WholeTraining
from linksim.training.conditions import Chunk

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
        held = [sum(chunk.num_drops for chunk in share) for share in _shares(chunks, num_ranks)]
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
