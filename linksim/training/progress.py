"""One line about a training: epoch, pace, validation NMSE, time left; rewritten on a terminal, else told at times."""

from __future__ import annotations

import contextlib
import math
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from linksim.core.heartbeat import doing, duration
from linksim.core.printing import visible
from linksim.training.schedule import Schedule


class TrainingProgress(contextlib.ExitStack):
    """A bar on a terminal; without one, what a `linksim.core.heartbeat.Heartbeat` tells.

    :param console: nothing is told on a quiet one.
    :param name: of the method.
    :param schedule: what is planned.
    :param first_step: where a training that is resumed begins.
    """

    def __init__(self, console: Console, name: str, schedule: Schedule, first_step: int) -> None:
        super().__init__()
        self._name = name
        self._schedule = schedule
        self._began, self._first_step = time.monotonic(), first_step
        self._bar = self._stage = None
        if console.quiet:
            return
        if console.is_terminal:
            self._bar = self.enter_context(Progress(
                TextColumn("training {task.description}", markup=False), BarColumn(16),
                TextColumn("{task.fields[state]}", markup=False),
                console=console, transient=True, refresh_per_second=4))
            self._row = self._bar.add_task(visible(name), total=schedule.num_steps, state="")
        else:
            self._stage = self.enter_context(doing(f"training {name}"))

    def tell(self, step: int, seconds_left: float, nmse: float | None, best_nmse: float) -> None:
        """How far it is.

        :param step: number of steps made.
        :param seconds_left: of the budget, infinite without one.
        :param nmse: of the last validation, linear; None before the first one.
        :param best_nmse: the least so far.
        """
        if self._bar:
            self._bar.update(self._row, completed=step, state=self._state(step, seconds_left, nmse, best_nmse))
        elif self._stage:
            self._stage.text = f"training {self._name}: {self._state(step, seconds_left, nmse, best_nmse)}"

    def _state(self, step: int, seconds_left: float, nmse: float | None, best_nmse: float) -> str:
        elapsed = max(time.monotonic() - self._began, 1e-9)
        rate = max(step - self._first_step, 1) / elapsed  # validations included
        left = min((self._schedule.num_steps - step) / rate, max(0.0, seconds_left))
        epoch = -(-step // self._schedule.epoch_steps)
        parts = [f"epoch {epoch}/{self._schedule.num_epochs}", f"{rate:.1f} steps/s"]
        if nmse is not None:
            parts.append(f"validation {to_db(nmse):.2f} dB (best {to_db(best_nmse):.2f})")
        return "   ".join([*parts, f"at most {duration(left)} left"])


def to_db(value: float) -> float:
    """A ratio of powers in decibel."""
    return 10 * math.log10(value) if value > 0 else -math.inf
