"""How a training goes: one line about epoch, pace, validation and time left, its learning curve, and event files."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from linksim.core.files import write_whole
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


class CurvePoint(NamedTuple):
    """A validation, and what the training had cost by then.

    :param step: number of steps made.
    :param drops_seen: in these steps; one that is in two of them counts twice.
    :param cpu_s: CPU time of all threads and processes, s.
    :param validation_nmse: linear, mean over conditions.
    """

    step: int
    drops_seen: int
    cpu_s: float
    validation_nmse: float


def write_curve(path: Path, curve: Iterable[CurvePoint]) -> None:
    """A learning curve as CSV, always whole: what was validated again after an interruption stands there once.

    :raises OSError: the disk is full.
    """
    rows = [f"{step},{drops_seen},{cpu_s:.1f},{nmse:.6g}" for step, drops_seen, cpu_s, nmse in curve]
    text = "\n".join([",".join(CurvePoint._fields), *rows, ""])
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


class EventLog:
    """An event file for every time that the training was begun or resumed.

    TensorBoard's own writer has a thread that dies of a full disk with a traceback, whatever its owner does.

    :param folder: of the files; None: nothing is written, as in all but the first of several processes.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Add scalars.

        :raises OSError: the disk is full.
        """
        if self._folder is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event  # start-up
        from tensorboard.compat.proto.summary_pb2 import Summary  # start-up

        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
            self._file = (self._folder / name).open("ab")
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        values = [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._file.flush()

    def _write(self, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter  # start-up

        RecordWriter(self._file).write(event.SerializeToString())

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close the file; after a failure, what a full disk left unwritten is lost."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                if error is None:
                    raise
