"""Where a training runs: in this process, or in several of this machine that share every step.

``python -m linksim.training.launch request.json`` is one of the several, started by `train`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record

from linksim.core import errors
from linksim.core.errors import LinksimError
from linksim.core.heartbeat import Heartbeat
from linksim.core.printing import make_console, one_line, prepare_streams, say
from linksim.scenario.plugins import load_plugins
from linksim.scenario.schema import CHECKPOINT_WEIGHTS
from linksim.training.checkpoint import making, writable, write_checkpoint
from linksim.training.part import Part
from linksim.training.parts import part_from, request_of
from linksim.training.trainer import check_task, fit, rank_from_outside


def train(trainee: Part, folder: Path, device: str, console: Console) -> bool:
    """Train a block and keep its checkpoint in ``folder``, unless another process does it first.

    Several devices of this machine get a process each, started here; with ``training.num_nodes`` above one, torchrun or
    srun has started a process for each device of each machine, and this is one of them.

    :returns: whether it was trained here.
    :raises StoreError: the folder cannot be written.
    :raises LinksimError: training failed; with several processes, what the first to fail said.
    """
    check_task(trainee, device)
    rank = rank_from_outside(trainee.training)
    begun = folder / "resume"
    if rank:
        weights = folder / CHECKPOINT_WEIGHTS
        while not (weights.is_file() or begun.is_dir()):  # the first process decides for all
            time.sleep(0.1)
        if weights.is_file():
            return False
        _train_here(trainee, folder, device, Console(quiet=True), rank)
        return True
    with making(folder, console) as missing:
        if not missing:
            return False
        with writable(folder):
            begun.mkdir(exist_ok=True)
        if rank is None and trainee.training.devices > 1:
            _train_in_processes(trainee, folder, device, console)
        else:
            _train_here(trainee, folder, device, console, rank or 0)
        shutil.rmtree(begun, ignore_errors=True)
    return True


def _train_here(trainee: Part, folder: Path, device: str, console: Console, rank: int) -> None:
    """This process's part; the first one writes the checkpoint."""
    trained = fit(trainee, folder, device, console)
    if rank == 0:
        write_checkpoint(folder, trained.block.saved_state(),
                         {**trainee.about, "validation_nmse": trained.nmse, "record": trained.record})


def _train_in_processes(trainee: Part, folder: Path, device: str, console: Console) -> None:
    """A process for each device of this machine, as torchrun starts them. Nothing but text is sent to them."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std  # start-up
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # start-up

    with tempfile.TemporaryDirectory(prefix="linksim-") as notes:
        request = Path(notes) / "request.json"
        request.write_text(json.dumps({
            **request_of(trainee), "folder": str(folder), "device": device,
            "terminal": console.is_terminal, "quiet": console.quiet, "width": console.width, "parent": os.getpid(),
        }), encoding="utf-8")
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=trainee.training.devices, run_id=folder.name, max_restarts=0,
            rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0", local_addr="127.0.0.1", monitor_interval=0.1,
            logs_specs=DefaultLogsSpecs(log_dir=notes, redirects=Std.ERR),
            signals_to_handle="")  # KeyboardInterrupt ends this process, and it ends its children
        try:
            with _no_logging():
                elastic_launch(config, sys.executable)("-m", "linksim.training.launch", str(request))
        except ChildFailedError as error:
            raise _reason(error, trainee.name) from None


@contextlib.contextmanager
def _no_logging() -> Iterator[None]:
    """Without what torch says of processes that it starts and ends."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _reason(error: ChildFailedError, name: str) -> LinksimError:
    """What the first process to fail said, as it said it."""
    _, failure = error.get_first_failure()
    if failure.exitcode < 0:
        return LinksimError(f"method {name!r}: a training process was killed; the same command goes on")
    said = failure.message["message"] if isinstance(failure.message, dict) else failure.message
    kind, _, text = said.partition(": ")
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, LinksimError):
        return known(text)
    return LinksimError(f"method {name!r}: a training process failed: {one_line(said)}")


@record
def _main() -> None:
    """One of several processes: read the request that the argument names, and take part."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    threading.Thread(target=_end_with, args=[request["parent"]], daemon=True).start()
    prepare_streams()
    load_plugins(request["scenario"]["plugins"])
    rank = int(os.environ["RANK"])
    console = make_console(quiet=request["quiet"] or rank > 0, force_terminal=request["terminal"],
                           width=request["width"])
    trainee = part_from(request)
    with Heartbeat(partial(say, console)):
        _train_here(trainee, Path(request["folder"]), request["device"], console, rank)


def _end_with(parent: int) -> None:
    """A process that was left alone by a kill would go on writing where another one trains by then."""
    while os.getppid() == parent and psutil.pid_exists(parent):  # the one says nothing on Windows, the other of zombies
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    _main()
