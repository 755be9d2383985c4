"""How a training goes, as TensorBoard reads it; written at once, so that a full disk is met where it can be told."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO


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
