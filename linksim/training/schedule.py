"""Stages and learning rates: which part of a block an epoch trains, and how large each step is."""

from __future__ import annotations

import math

from linksim.scenario.training import WholeTraining


class Schedule:
    """Epochs of every stage and the learning rate of every step; the rate begins anew with each stage.

    :param training: complete; see `linksim.scenario.training.merged`.
    :param num_epochs: at the most.
    :param epoch_steps: steps of an epoch.
    :param num_stages: of the block; what is optimised may be another part in each.
    """

    def __init__(self, training: WholeTraining, num_epochs: int, epoch_steps: int, num_stages: int = 1) -> None:
        self.training = training
        self.num_epochs = num_epochs
        self.epoch_steps = epoch_steps
        self.stage_epochs = stage_epochs(num_epochs, num_stages)

    @property
    def num_steps(self) -> int:
        """Steps of the whole training."""
        return self.num_epochs * self.epoch_steps

    @property
    def last_stage(self) -> int:
        return len(self.stage_epochs) - 1

    def stage(self, epoch: int) -> int:
        """The stage that an epoch belongs to."""
        ends = [sum(self.stage_epochs[:stage + 1]) for stage in range(self.last_stage)]
        return sum(epoch >= end for end in ends)

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted over the whole training from 0."""
        own, num_steps = step_of_stage(step, [epochs * self.epoch_steps for epochs in self.stage_epochs])
        return self.training.learning_rate * relative_rate(own, num_steps, self.training.schedule,
                                                           self.training.warmup)


def stage_epochs(num_epochs: int, num_stages: int) -> list[int]:
    """Epochs of every stage, as even as possible; a stage that gets none is left out, the last one never."""
    ends = [num_epochs * (stage + 1) // num_stages for stage in range(num_stages)]
    return [end - begin for begin, end in zip([0, *ends], ends)]


def step_of_stage(step: int, stage_steps: list[int]) -> tuple[int, int]:
    """Number of a step within its stage, and the stage's steps."""
    for num_steps in stage_steps[:-1]:
        if step < num_steps:
            return step, num_steps
        step -= num_steps
    return step, stage_steps[-1]


def relative_rate(step: int, num_steps: int, schedule: str, warmup: float) -> float:
    """Learning rate of a step, relative to the largest: a linear rise, then half a cosine down to zero."""
    if schedule == "constant":
        return 1.0
    rise = max(1, round(warmup * num_steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, num_steps - rise))))
