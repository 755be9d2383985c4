"""How a training goes, as TensorBoard reads it; written at once, so that a full disk is met where it can be told."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class EventLog(Logger):
    """An event file for every time that the training was begun or resumed.

    TensorBoard's own writer has a thread that dies of a full disk with a traceback, whatever its owner does.

    :param folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._file: BinaryIO | None = None

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return "logs"

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: ``about.json`` says how a block was trained."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add scalars.

        :raises OSError: the disk is full.
        """
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
            self._file = (self._folder / name).open("ab")
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        values = [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in metrics.items()]
        self._write(Event(wall_time=time.time(), step=step or 0, summary=Summary(value=values)))
        self._file.flush()

    def _write(self, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        RecordWriter(self._file).write(event.SerializeToString())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file; what a full disk left unwritten is lost."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                if status == "success":
                    raise
            self._file = None
