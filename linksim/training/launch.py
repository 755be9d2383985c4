"""Where a training runs: in this process, or in several that share every step."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from linksim.errors import LinksimError
from linksim.scenario.schema import CHECKPOINT_WEIGHTS
from linksim.training.checkpoint import write_checkpoint
from linksim.training.folder import making
from linksim.training.part import Part
from linksim.training.parts import request_of
from linksim.training.trainer import Task, check_task, fit, own_device, plan_path, rank_from_outside


def train(trainee: Part, folder: Path, device: str, console: Console) -> bool:
    """Train a block and keep its checkpoint in ``folder``, unless another process does it first.

    Several devices of this machine get a process each, started here; with ``training.num_nodes`` above one, torchrun or
    srun has started a process for each device of each machine, and this is one of them.

    :returns: whether it was trained here.
    :raises StoreError: the folder cannot be written.
    :raises LinksimError: training failed; with several processes, what the first to fail said.
    """
    training = trainee.training
    check_task(trainee, device)
    rank = rank_from_outside(training)
    if rank:
        while not plan_path(folder).is_file():  # the first process decides for all
            if (folder / CHECKPOINT_WEIGHTS).is_file():
                return False
            time.sleep(0.1)
        train_here(trainee, folder, device, Console(quiet=True), rank)
        return True
    with making(folder, console) as missing:
        if not missing:
            return False
        if rank is None and training.devices > 1:
            _train_there(trainee, folder, device, console)
        else:
            train_here(trainee, folder, device, console, 0)
        shutil.rmtree(folder / "resume", ignore_errors=True)
    return True


def train_here(trainee: Part, folder: Path, device: str, console: Console, rank: int) -> None:
    """This process's part; the first one writes the checkpoint."""
    block = trainee.untrained(own_device(device, trainee.training))
    trained = fit(Task(trainee, folder, device), block, console, rank)
    if rank == 0:
        write_checkpoint(folder, block.saved_state(),
                         {**trainee.about, "validation_nmse": trained.nmse, "record": trained.record})


def _train_there(trainee: Part, folder: Path, device: str, console: Console) -> None:
    """One process for each device of this machine. Nothing but text is sent to them."""
    request = json.dumps({**request_of(trainee), "folder": str(folder), "device": device,
                          "terminal": console.is_terminal, "quiet": console.quiet, "width": console.width})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks: list[subprocess.Popen] = []
    with contextlib.ExitStack() as files:
        said = [files.enter_context(tempfile.TemporaryFile("w+", errors="replace"))
                for _ in range(trainee.training.devices)]
        try:
            for rank, errors in enumerate(said):
                environment = {**os.environ, "LOCAL_RANK": str(rank), "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1",
                               "MASTER_PORT": str(port)}
                ranks.append(subprocess.Popen([sys.executable, "-m", "linksim.training.rank", str(rank)], text=True,
                                              stdin=subprocess.PIPE, stderr=errors, env=environment))
            for process in ranks:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(request + "\n")
                    process.stdin.flush()  # and left open: its end is this process's
            while any(process.poll() is None for process in ranks) and not any(process.poll() for process in ranks):
                time.sleep(0.1)
        finally:
            for process in ranks:  # one that failed leaves the others waiting for it
                if process.poll() is None:
                    process.kill()
                process.wait()
                with contextlib.suppress(OSError):
                    process.stdin.close()
        for process, errors in zip(ranks, said):
            if process.returncode > 0:  # not one killed above
                errors.seek(0)
                raise LinksimError(_last_words(errors.read(), trainee.name))
        if any(process.returncode for process in ranks):
            raise LinksimError(f"method {trainee.name!r}: a training process was killed; the same command goes on")


def _last_words(text: str, name: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    return f"method {name!r}: a training process failed: {lines[-1] if lines else 'it said nothing'}"
