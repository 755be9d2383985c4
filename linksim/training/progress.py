"""How a training goes: one line about epoch, pace, validation and time left, its learning curve, and event files."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import pydantic
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from linksim.core.files import write_whole
from linksim.core.heartbeat import clock, doing, duration
from linksim.core.printing import visible
from linksim.training.schedule import Schedule

_STANDING = Path("resume") / "progress.json"

_KEEP_EVERY_S = 5.0

_LONGEST_S = 1e9
"""Thirty years: a date beyond is not to be had, and nobody waits for it."""


class Standing(pydantic.BaseModel, frozen=True):
    """How far a training is, as it is told and as it is kept for whoever asks.

    :param step: number of steps made, of ``num_steps``.
    :param epoch: the present one, from 1 to ``num_epochs``.
    :param steps_per_s: validations included.
    :param validation_nmse: of the last validation, linear; None before the first one.
    :param best_validation_nmse: the least so far.
    :param told_at: when this was said.
    :param done_at: when it will be done at the latest: patience may end it before.
    """

    step: int
    num_steps: int
    epoch: int
    num_epochs: int
    steps_per_s: float
    validation_nmse: float | None
    best_validation_nmse: float | None
    told_at: pydantic.AwareDatetime
    done_at: pydantic.AwareDatetime

    def __str__(self) -> str:
        left = (self.done_at - self.told_at).total_seconds()
        when = f"at most {duration(left)} left, until {clock(self.done_at, _now())}"
        return "   ".join([self._where, when, *self._validation, f"{self.steps_per_s:.1f} steps/s"])

    @property
    def came_to(self) -> str:
        """The same of a training that was interrupted."""
        return "   ".join([self._where, *self._validation])

    @property
    def _where(self) -> str:
        return f"step {self.step}/{self.num_steps}   epoch {self.epoch}/{self.num_epochs}"

    @property
    def _validation(self) -> list[str]:
        if self.validation_nmse is None:
            return []
        best = "" if self.best_validation_nmse is None else f" (best {to_db(self.best_validation_nmse):.2f})"
        return [f"validation {to_db(self.validation_nmse):.2f} dB{best}"]


def read_standing(folder: Path) -> Standing | None:
    """What a training told last.

    :param folder: of its checkpoint.
    :returns: None where it has told nothing yet, or what is there cannot be read.
    """
    try:
        return Standing.model_validate_json((folder / _STANDING).read_bytes())
    except (OSError, ValueError):
        return None


class TrainingProgress(contextlib.ExitStack):
    """A bar on a terminal; without one, what a `linksim.core.heartbeat.Heartbeat` tells. In the checkpoint's folder, a
    file for `read_standing`.

    :param console: nothing is told on a quiet one.
    :param name: of the method.
    :param schedule: what is planned.
    :param first_step: where a training that is resumed begins.
    :param folder: of the checkpoint; None: no file, as of all but the first of several processes.
    """

    def __init__(self, console: Console, name: str, schedule: Schedule, first_step: int, folder: Path | None) -> None:
        super().__init__()
        self._name = name
        self._schedule = schedule
        self._file = folder / _STANDING if folder else None
        self._kept_at = -math.inf
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
        :param best_nmse: the least so far, infinite before the first validation of a stage.
        """
        due = self._file is not None and time.monotonic() - self._kept_at >= _KEEP_EVERY_S
        if not (self._bar or self._stage or due):
            return
        standing = self._standing(step, seconds_left, nmse, best_nmse)
        if self._bar:
            self._bar.update(self._row, completed=step, state=str(standing))
        elif self._stage:
            self._stage.text = f"training {self._name}: {standing}"
        if due:
            text = standing.model_dump_json(indent=1)
            with contextlib.suppress(OSError):  # the log and the state say so if the disk is full
                write_whole(self._file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
            self._kept_at = time.monotonic()

    def _standing(self, step: int, seconds_left: float, nmse: float | None, best_nmse: float) -> Standing:
        now = _now()
        elapsed = max(time.monotonic() - self._began, 1e-9)
        rate = max(step - self._first_step, 1) / elapsed
        left = min((self._schedule.num_steps - step) / rate, max(0.0, seconds_left), _LONGEST_S)
        return Standing(
            step=step, num_steps=self._schedule.num_steps, epoch=-(-step // self._schedule.epoch_steps),
            num_epochs=self._schedule.num_epochs, steps_per_s=rate, validation_nmse=nmse,
            best_validation_nmse=best_nmse if math.isfinite(best_nmse) else None,
            told_at=now, done_at=now + timedelta(seconds=left))


def _now() -> datetime:
    """Here."""
    return datetime.now().astimezone()


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
