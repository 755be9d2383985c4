"""Blocks that are trained in stages: what is optimised changes, the best of one stage starts the next."""

from __future__ import annotations

from lightning.pytorch import Callback, Trainer

from linksim.training.callbacks import Selection
from linksim.training.module import BlockModule


def stage_lengths(num_epochs: int, num_stages: int) -> list[int]:
    """Epochs of every stage, as even as possible; a stage that gets none is left out, the last one never."""
    ends = [num_epochs * (stage + 1) // num_stages for stage in range(num_stages)]
    return [end - begin for begin, end in zip([0, *ends], ends)]


class Stages(Callback):
    """Tells a block which stage it is in, with ``begin_stage(number)``.

    A stage begins with the best weights of the one before. Early stopping ends the last stage alone: how long the
    others take is part of the schedule.

    :param lengths: epochs of every stage.
    :param selection: of the best weights.
    """

    def __init__(self, lengths: list[int], selection: Selection) -> None:
        self.lengths = lengths
        self.selection = selection
        self._now: int | None = None

    def on_train_start(self, trainer: Trainer, module: BlockModule) -> None:
        self._enter(trainer, module)  # a training that is resumed within an epoch

    def on_train_epoch_start(self, trainer: Trainer, module: BlockModule) -> None:
        self._enter(trainer, module)

    def _enter(self, trainer: Trainer, module: BlockModule) -> None:
        stage = self._stage_of(trainer.current_epoch)
        if len(self.lengths) == 1 or stage == self._now:
            return
        self._now = stage
        self.selection.is_last_stage = stage == len(self.lengths) - 1
        if self.selection.stage != stage:
            if self.selection.weights:
                module.block.load_state_dict(self.selection.weights, strict=False)
            self.selection.begin(stage)
        module.block.begin_stage(stage)

    def _stage_of(self, epoch: int) -> int:
        end = 0
        for stage, length in enumerate(self.lengths):
            end += length
            if epoch < end:
                return stage
        return len(self.lengths) - 1
