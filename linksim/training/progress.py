"""One line about a training: epoch, pace, validation NMSE, time left; rewritten on a terminal, else told at times."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from lightning.pytorch import Callback, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from linksim.heartbeat import Stage, doing, duration
from linksim.printing import visible
from linksim.training.callbacks import Budget, Selection
from linksim.training.module import BlockModule, to_db


class TrainingProgress(Callback):
    """The line, rewritten as the training goes on; without a terminal, what a `linksim.heartbeat.Heartbeat` tells.

    :param name: of the method.
    :param selection: knows the best validation so far.
    :param budget: knows the time that is left.
    """

    def __init__(self, console: Console, name: str, selection: Selection, budget: Budget) -> None:
        self._selection = selection
        self._budget = budget
        self._line = Progress(
            TextColumn("training {task.description}", markup=False), BarColumn(16),
            TextColumn("{task.fields[state]}", markup=False),
            console=console, transient=True, refresh_per_second=4,
        ) if console.is_terminal and not console.quiet else None
        self._task = self._line.add_task(visible(name), total=None, state="") if self._line else None
        self._name = name
        self._stages = contextlib.ExitStack()
        self._stage: Stage | None = None
        self._began = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: Trainer, module: BlockModule) -> None:
        self._began, self._first_step = time.monotonic(), trainer.global_step
        if self._line and trainer.is_global_zero:
            self._line.update(self._task, total=module.num_steps)
            self._line.start()
        elif trainer.is_global_zero:
            self._stage = self._stages.enter_context(doing(f"training {self._name}"))

    def on_train_batch_end(self, trainer: Trainer, module: BlockModule, *_: Any) -> None:
        if self._line:
            self._line.update(self._task, completed=trainer.global_step, state=self._state(trainer, module))
        elif self._stage:
            self._stage.text = f"training {self._name}: {self._state(trainer, module)}"

    def on_train_end(self, trainer: Trainer, module: BlockModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, module: BlockModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        self._stages.close()
        if self._line:
            self._line.stop()

    def _state(self, trainer: Trainer, module: BlockModule) -> str:
        elapsed = max(time.monotonic() - self._began, 1e-9)
        rate = max(trainer.global_step - self._first_step, 1) / elapsed  # validations included
        left = (module.num_steps - trainer.global_step) / rate
        if self._budget.seconds:
            left = min(left, max(0.0, self._budget.seconds - self._budget.used_s))
        parts = [f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", f"{rate:.1f} steps/s"]
        if module.nmse is not None:
            parts.append(f"validation {to_db(module.nmse):.2f} dB (best {to_db(self._selection.nmse):.2f})")
        return "   ".join([*parts, f"at most {duration(left)} left"])


