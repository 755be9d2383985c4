"""One command in a process of its own, and how it ended: done, refused, a traceback, a hang, too much memory.

The process is forked from this one after torch and Sionna were imported, which saves their five seconds each time and
keeps whatever a command breaks to itself (POSIX alone).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MEMORY_BYTES = 6 * 2**30
"""More than this is counted as a crash: commands are told of a machine that has `TOLD_MEMORY_GB`, and estimates of what
they take may be half as much too high."""
TOLD_MEMORY_GB = 4
SILENT_S = 60.0
"""A command that shows nothing new for so long, and does not compute, hangs."""
_SILENT_AT_WORK_S = 400.0
"""The same of one that computes: what takes long is told every five minutes at the least."""
PATIENCE_S = 90.0
"""CPU time after which a command that still talks is stopped: it is slow, not wrong."""

DONE, REFUSED, SEVERAL_LINES, TRACEBACK, HANG, MEMORY, SLOW, WROTE = (
    "done", "refused", "refused in other than one line", "traceback", "hang", "memory", "stopped while working",
    "refused but wrote")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    :param how: one of the words above.
    :param said: the last lines of what it printed.
    """

    how: str
    said: str = ""


def warm() -> None:
    """Import what commands need, once, and tell them how much memory there is."""
    for name in ("torch", "sionna.phy", "scipy.io", "h5py", "peft", "lightning_fabric", "linksim.experiment.run",
                 "linksim.channel.drops", "linksim.channel.statistical.drops", "linksim.training.trainer",
                 "linksim.report.load"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    importlib.import_module("torch").set_num_threads(1)
    os.environ["LINKSIM_MEMORY_GB"] = str(TOLD_MEMORY_GB)


def try_command(arguments: Sequence[str], folder: Path, figures: bool = False) -> Ended:
    """Run ``linksim`` with these arguments in a forked process inside a folder, and say how it ended."""
    with started(lambda: _be_the_command(list(map(str, arguments)), folder, figures)) as process:
        how = _watched(process, folder / "said.txt")
    text = said_in(folder)
    return Ended(how or _judged(process.wait(), text), "\n".join(text.splitlines()[-3:])[-600:])


def said_in(folder: Path) -> str:
    """What a command in this folder has printed so far."""
    path = folder / "said.txt"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


@contextlib.contextmanager
def started(what: Callable[[], None]) -> Iterator[Forked]:
    """A forked process that does something, gone with all of its children at the end."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            what()
        finally:
            os._exit(0)
    process = Forked(pid)
    try:
        yield process
    finally:
        process.end()


def command(arguments: Sequence[str], folder: Path) -> contextlib.AbstractContextManager[Forked]:
    """The process of a command, as in `try_command`, to be ended by the caller."""
    return started(lambda: _be_the_command(list(map(str, arguments)), folder, figures=False))


class Forked:
    """A child of this process, known by its number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        while self.poll() is None:
            time.sleep(0.01)
        return self._status

    def signal(self, number: int) -> None:
        """Send a signal to it alone."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it and what it started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children(recursive=True):
                child.kill()
        self.signal(signal.SIGKILL)
        self.wait()


def _be_the_command(arguments: list[str], folder: Path, figures: bool) -> None:
    """In the forked process; never returns."""
    code = 70
    try:
        os.chdir(folder)
        out = os.open("said.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        if not figures:
            build = types.ModuleType("linksim.report.build")
            build.build_report = lambda folders, output=None, say=None: []
            sys.modules[build.__name__] = build
        from linksim import cli

        sys.argv = ["linksim", *arguments]
        code = cli.command_line(arguments)
        threading._shutdown()  # what else ends an interpreter does not work in a fork: libraries' threads are gone
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 70
    except BaseException:
        traceback.print_exc()
        code = 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watched(process: Forked, said: Path) -> str | None:
    """Wait for the end; the word for it where it was brought about from here."""
    seen, size, used_then = time.monotonic(), -1, 0.0
    while process.poll() is None:
        time.sleep(0.02)
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            about = psutil.Process(process.pid)
            if about.memory_info().rss > MEMORY_BYTES:
                return MEMORY
            used = sum(about.cpu_times()[:2])
            if used > PATIENCE_S:
                return SLOW
            silent = time.monotonic() - seen
            if (now := said.stat().st_size) != size:
                size, seen, used_then = now, time.monotonic(), used
            elif silent > _SILENT_AT_WORK_S or (silent > SILENT_S and used - used_then < 0.1 * silent):
                return HANG
    return None


def _judged(code: int, text: str) -> str:
    if "Traceback (most recent call last)" in text or code < 0 or code in (1, 70):
        return TRACEBACK
    if code == 2:
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        return REFUSED if len(errors) == 1 and text.rstrip().endswith(errors[0]) else SEVERAL_LINES
    return DONE if code == 0 else TRACEBACK
