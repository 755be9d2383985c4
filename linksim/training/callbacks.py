"""What happens beside the steps: the best weights, early stopping, the state to resume from, the time budget."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from linksim.training.folder import written_whole
from linksim.training.module import BlockModule

SAVE_EPOCHS_EVERY_S = 10.0
"""State is kept at the end of an epoch, but not more often than this."""

SAVE_STEPS_EVERY_S = 300.0
"""State is kept within an epoch where the last one is as old as this."""

_STEPS_BETWEEN_CLOCKS = 8
"""Several processes agree on the time after so many steps."""


class Selection(Callback):
    """The weights of the epoch with the least validation NMSE; stops when it has not fallen for a while.

    :param patience: epochs without a better one, 0: never stop.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.nmse = float("inf")
        self.epoch = -1
        self.weights: dict[str, torch.Tensor] = {}
        self.waited = 0
        self.stage = 0
        self.is_last_stage = True

    def begin(self, stage: int) -> None:
        """Forget what other losses were like."""
        self.nmse, self.waited, self.stage = float("inf"), 0, stage

    @property
    def is_over(self) -> bool:
        return self.is_last_stage and bool(self.patience) and self.waited >= self.patience

    def on_train_start(self, trainer: Trainer, module: BlockModule) -> None:
        trainer.should_stop = trainer.should_stop or self.is_over  # resumed after the last epoch

    def on_validation_end(self, trainer: Trainer, module: BlockModule) -> None:
        if module.nmse < self.nmse:
            self.nmse, self.epoch, self.waited = module.nmse, trainer.current_epoch, 0
            self.weights = {name: tensor.detach().to("cpu", copy=True)
                            for name, tensor in module.block.saved_state().items()}
        else:
            self.waited += 1
        trainer.should_stop = trainer.should_stop or self.is_over

    def state_dict(self) -> dict[str, Any]:
        return {"nmse": self.nmse, "epoch": self.epoch, "weights": self.weights, "waited": self.waited,
                "stage": self.stage}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.nmse, self.epoch, self.weights, self.waited = (
            state[name] for name in ("nmse", "epoch", "weights", "waited"))
        self.stage = state.get("stage", 0)


class Begun(Callback):
    """Whether the training has begun: what fails before that, where one is resumed, is the state that was kept."""

    is_so = False

    def on_train_start(self, trainer: Trainer, module: BlockModule) -> None:
        self.is_so = True


class Budget(Callback):
    """Stops when the wall clock says so, with a last validation; time before an interruption counts.

    :param seconds: 0: no limit.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._earlier = 0.0
        self._began = time.monotonic()
        self._validation_began = 0.0
        self._validation_s = 0.0

    @property
    def used_s(self) -> float:
        return self._earlier + time.monotonic() - self._began

    def on_train_start(self, trainer: Trainer, module: BlockModule) -> None:
        if self.seconds and self.used_s >= self.seconds:  # resumed after its end
            trainer.should_stop = True

    def on_validation_start(self, trainer: Trainer, module: BlockModule) -> None:
        self._validation_began = time.monotonic()

    def on_validation_end(self, trainer: Trainer, module: BlockModule) -> None:
        self._validation_s = time.monotonic() - self._validation_began

    def on_train_batch_end(self, trainer: Trainer, module: BlockModule, *_: Any) -> None:
        if self.seconds and _all_look(trainer):
            over = self.used_s + self._validation_s >= self.seconds
            trainer.should_stop = trainer.strategy.reduce_boolean_decision(over or trainer.should_stop, all=False)

    def state_dict(self) -> dict[str, Any]:
        return {"used_s": self.used_s}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._earlier = state["used_s"]
        self._began = time.monotonic()


class Resumption(Callback):
    """Keeps all that is needed to go on after a kill, whole or not at all.

    :param path: of the state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept_at = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, module: BlockModule, *_: Any) -> None:
        # the end of an epoch has its own turn, after validation
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch and _all_look(trainer):
            self._keep(trainer, module, SAVE_STEPS_EVERY_S)

    def on_train_epoch_end(self, trainer: Trainer, module: BlockModule) -> None:
        self._keep(trainer, module, SAVE_EPOCHS_EVERY_S)

    def _keep(self, trainer: Trainer, module: BlockModule, every_s: float) -> None:
        due = time.monotonic() - self._kept_at >= every_s
        if trainer.world_size > 1:
            due = trainer.strategy.broadcast(due)
        if not due:
            return
        module.check_finite()
        if not module.has_finite_weights():
            return  # the next loss will say so
        if trainer.is_global_zero:
            with written_whole(self.path) as waiting:
                trainer.save_checkpoint(waiting, weights_only=False)
        else:
            trainer.save_checkpoint(self.path, weights_only=False)  # takes part, writes nothing
        self._kept_at = time.monotonic()


def _all_look(trainer: Trainer) -> bool:
    return trainer.world_size == 1 or trainer.global_step % _STEPS_BETWEEN_CLOCKS == 0
