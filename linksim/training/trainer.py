"""The one trainer of every block that learns by gradient descent: what it needs, how long it may take, how it failed.

What it promises: the best weights by validation; nothing lost by a kill but the last minutes; on a CPU the same weights
for the same seeds and threads, resumed or not; the global random numbers of torch as they were.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.strategies import DDPStrategy
from rich.console import Console

from linksim.core.errors import LinksimError, NumericalError, ScenarioError
from linksim.core.heartbeat import doing, duration
from linksim.core.printing import say
from linksim.scenario.training import WholeTraining
from linksim.training.checkpoint import with_room, written_whole
from linksim.training.data import TrainingDrops
from linksim.training.estimate import Estimate, measure
from linksim.training.loop import TrainingLoop
from linksim.training.minibatches import EpochPlan, Minibatches
from linksim.training.part import Part
from linksim.training.progress import EventLog, TrainingProgress, to_db


@dataclass(frozen=True)
class Trained:
    """What training found.

    :param block: with its best weights, on the CPU, in evaluation mode.
    :param nmse: of the validation drops, linear, mean over conditions.
    :param record: how it went, for people.
    """

    block: Any
    nmse: float
    record: dict[str, Any]


def check_task(trainee: Part, device: str) -> None:
    """Whether a training can begin; nothing is drawn or written.

    :raises ScenarioError: too few drops, or a precision or number of devices that this machine does not have.
    """
    name, training = trainee.name, trainee.training
    num_ranks = training.devices * training.num_nodes
    try:
        drops = trainee.drops(device)
        for rank in range(num_ranks):
            _plan(drops, rank, num_ranks)
    except ScenarioError as error:
        raise ScenarioError(f"method {name!r}: {error}") from None
    if training.num_nodes > 1 and rank_from_outside(training) is None:
        raise ScenarioError(f"method {name!r}: training.num_nodes is {training.num_nodes}: start `linksim train` on "
                            f"each machine, {training.devices} processes each, e.g. torchrun --nnodes "
                            f"{training.num_nodes} --nproc-per-node {training.devices} -m linksim.cli train …")
    if device == "cpu" and training.precision == "16-mixed":
        raise ScenarioError(f"method {name!r}: training.precision: 16-mixed needs a GPU; use 32 or bf16-mixed on a CPU")
    if device != "cpu" and training.devices > torch.cuda.device_count():
        raise ScenarioError(f"method {name!r}: training.devices: {training.devices} asked for, but torch sees "
                            f"{torch.cuda.device_count()} GPUs")


def rank_from_outside(training: WholeTraining) -> int | None:
    """This process's rank, where torchrun or srun has started as many processes as share a training."""
    processes = training.devices * training.num_nodes
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if processes > 1 and os.environ.get(size) == str(processes) and rank in os.environ:
            return int(os.environ[rank])
    return None


def fit(trainee: Part, folder: Path, device: str, console: Console) -> Trained:
    """Train a block, or go on with its training; all processes that share it call this.

    :param folder: of the checkpoint; the state to resume from and the logs lie in it while training lasts.
    :param device: ``cpu``, ``cuda`` or ``cuda:<n>``; of several processes each has its own GPU.
    :raises NumericalError: a loss that is not finite; the state before is kept.
    :raises StoreError: the folder cannot be written, or the state in it cannot be read.
    :raises LinksimError: the GPU's memory is too small.
    """
    training = trainee.training
    with _quiet(), with_room(folder), _memory(trainee, device):
        fabric = _fabric(training, device)
        fabric.launch()
        device = str(fabric.device)
        block = trainee.untrained(device)
        drops = trainee.drops(device)
        plan = _plan(drops, fabric.global_rank, fabric.world_size)
        minibatches = Minibatches(drops, plan, fabric.global_rank, fabric.world_size, block)
        with _own_random_numbers(device), _threads(trainee.scenario.run.threads_per_worker, device):
            block.to(device).train()
            num_epochs = fabric.broadcast(
                _num_epochs(trainee, folder, block, minibatches, console) if fabric.is_global_zero else 0)
            loop = TrainingLoop(fabric, block, trainee.name, minibatches, num_epochs, folder)
            try:
                with EventLog(folder / "logs" if fabric.is_global_zero else None) as log, TrainingProgress(
                        console, trainee.name, loop.schedule, loop.step, folder if fabric.is_global_zero else None
                        ) as progress:
                    loop.run(log, progress)
            except NumericalError as error:
                raise NumericalError(f"{error}{_what_is_left(trainee, folder, loop)}") from None
            block.load_state_dict(loop.selection.weights, strict=False)
            block.eval()
            if hasattr(block, "finish"):
                with torch.no_grad(), doing(f"finishing {trainee.name}"):
                    block.finish(minibatches.training())
            block.cpu()
        cpu_s = loop.cpu_s()
    return Trained(block, loop.selection.nmse, {
        "epochs": -(-loop.step // plan.num_steps), "epochs_planned": num_epochs,
        "best_epoch": loop.selection.epoch + 1, "steps": loop.step, "drops_seen": plan.drops_seen(loop.step),
        "seconds": round(loop.used_s, 1), "cpu_s": round(cpu_s, 1),
        "device": _device_name(device), "devices": training.devices, "num_nodes": training.num_nodes,
        "threads": trainee.scenario.run.threads_per_worker,
    })


class _Mixed(MixedPrecision):
    """Weights are cast anew at every use: gradients of those used often in a step add up in single precision."""

    def forward_context(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16 if self.precision == "bf16-mixed" else torch.float16,
                              cache_enabled=False)


def _fabric(training: WholeTraining, device: str) -> Fabric:
    kind, _, number = device.partition(":")
    several = training.devices * training.num_nodes > 1
    return Fabric(
        accelerator=kind, devices=training.devices if several or kind == "cpu" else [int(number or 0)],
        num_nodes=training.num_nodes,
        plugins=None if training.precision == 32 else _Mixed(training.precision, kind),
        # A block may have parameters that a loss does not reach, such as a language model's last layers. Buffers would
        # be exchanged in validation, too, of which processes may have different shares.
        strategy=DDPStrategy(find_unused_parameters=True, broadcast_buffers=False) if several else "auto")


def _plan(drops: TrainingDrops, rank: int, num_ranks: int) -> EpochPlan:
    return EpochPlan([chunk for chunk in drops.chunks if not chunk.validation], drops.training, rank, num_ranks)


def _num_epochs(trainee: Part, folder: Path, block: Any, minibatches: Minibatches, console: Console) -> int:
    """Epochs of the schedule: decided (and said) once, then the same after every interruption."""
    path = folder / "resume" / "plan.json"
    if (num_epochs := _planned_epochs(path)) is not None:
        say(console, f"training {trainee.name} goes on from {path.parent}")
        return num_epochs
    with doing(f"first steps of {trainee.name}, to tell how long it will take"):
        estimate = measure(block, minibatches)
    num_epochs = estimate.epochs_within(trainee.training)
    say(console, _announcement(trainee, minibatches, estimate, num_epochs))
    with written_whole(path) as waiting:
        waiting.write_text(json.dumps({"num_epochs": num_epochs}), encoding="utf-8")
    return num_epochs


def _planned_epochs(path: Path) -> int | None:
    """What was decided before an interruption; None where nothing was, or where the file is damaged."""
    try:
        num_epochs = json.loads(path.read_text(encoding="utf-8"))["num_epochs"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return num_epochs if type(num_epochs) is int and num_epochs > 0 else None


def _announcement(trainee: Part, minibatches: Minibatches, estimate: Estimate, num_epochs: int) -> str:
    training, drops = trainee.training, minibatches.drops
    for_training = sum(chunk.num_drops for chunk in drops.chunks if not chunk.validation)
    for_validation = sum(chunk.num_drops for chunk in drops.chunks if chunk.validation)
    shortened = f" (of {training.num_epochs}: max_minutes {training.max_minutes:g})" \
        if num_epochs < training.num_epochs else ""
    return (f"training {trainee.name} on {for_training} drops, {for_validation} more for validation: at most "
            f"{num_epochs} epochs{shortened} of {minibatches.plan.num_steps} steps of {training.batch_drops} drops, "
            f"about {duration(estimate.seconds(num_epochs))} on {_device_name(drops.device)}; no matching checkpoint "
            f"in {trainee.scenario.training.folder}")


def _what_is_left(trainee: Part, folder: Path, loop: TrainingLoop) -> str:
    """Where the last good weights are, and what may help."""
    best = ""
    if loop.selection.weights:
        from linksim.training.checkpoint import write_checkpoint  # start-up

        folder, nmse = folder / "resume" / "best", loop.selection.nmse
        write_checkpoint(folder, loop.selection.weights, {**trainee.about, "validation_nmse": nmse})
        best = f"; the best so far (epoch {loop.selection.epoch + 1}, {to_db(nmse):.2f} dB) is kept in {folder}"
    return f"{best}; try a smaller training.learning_rate or training.gradient_clip"


@contextlib.contextmanager
def _memory(trainee: Part, device: str) -> Iterator[None]:
    """A GPU that is too small is told in one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        batch = trainee.training.batch_drops
        processes = trainee.training.devices * trainee.training.num_nodes
        smaller = batch // 2 // processes * processes
        fix = f"try training.batch_drops={smaller}" if smaller else "use a larger GPU or run.device=cpu"
        raise LinksimError(f"method {trainee.name!r}: {batch} drops per step do not fit the memory of "
                           f"{_device_name(device)}: {fix}") from None


@contextlib.contextmanager
def _own_random_numbers(device: str) -> Iterator[None]:
    """Torch's global generators are as they were afterwards."""
    with torch.random.fork_rng([torch.device(device)] if device != "cpu" else []):
        yield


@contextlib.contextmanager
def _threads(number: int, device: str) -> Iterator[None]:
    """On the CPU as many threads as a run's workers have: sums in another order differ in the last digit."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Fabric's messages: those that matter here are linksim's own."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning_fabric\..*")
            yield
    finally:
        logger.setLevel(level)


def _device_name(device: str) -> str:
    return "cpu" if device == "cpu" else torch.cuda.get_device_name(device)
