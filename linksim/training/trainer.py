"""The one trainer of every block that learns by gradient descent: Lightning around the block's own loss.

What it promises: the best weights by validation; nothing lost by a kill but the last minutes; on a CPU the same weights
for the same seeds and threads, resumed or not; the global random numbers of torch as they were.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from rich.console import Console

from linksim.errors import LinksimError, NumericalError, ScenarioError, StoreError
from linksim.heartbeat import doing, duration
from linksim.interruption import handlers_kept
from linksim.printing import say
from linksim.scenario.resolved import ResolvedScenario
from linksim.scenario.training import Training
from linksim.training.callbacks import Begun, Budget, Resumption, Selection
from linksim.training.conditions import condition_names
from linksim.training.data import TrainingDrops
from linksim.training.epochs import EpochPlan
from linksim.training.estimate import Estimate, measure
from linksim.training.event_log import EventLog
from linksim.training.folder import with_room, written_whole
from linksim.training.minibatches import Minibatch, Minibatches, ValidationBatch
from linksim.training.module import BlockModule, to_db
from linksim.training.part import Part
from linksim.training.progress import TrainingProgress
from linksim.training.stages import Stages, stage_lengths


@dataclass(frozen=True)
class Task:
    """One block to train.

    :param trainee: what is trained, on which drops and how.
    :param folder: of the checkpoint; the state to resume from and the logs lie in it while training lasts.
    :param device: ``cpu``, ``cuda`` or ``cuda:<n>``.
    """

    trainee: Part
    folder: Path
    device: str

    @property
    def scenario(self) -> ResolvedScenario:
        return self.trainee.scenario

    @property
    def name(self) -> str:
        """Of the method, for messages."""
        return self.trainee.name

    @property
    def training(self) -> Training:
        return self.trainee.training


@dataclass(frozen=True)
class Trained:
    """What training found.

    :param nmse: of the validation drops, linear, mean over conditions.
    :param record: how it went, for people.
    """

    nmse: float
    record: dict[str, Any]


def check_task(trainee: Part, device: str) -> None:
    """Whether a training can begin; nothing is drawn or written.

    :raises ScenarioError: too few drops, or a precision or number of devices that this machine does not have.
    """
    name, training = trainee.name, trainee.training
    try:
        _plans(trainee.drops(device), training.devices * training.num_nodes)
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


def rank_from_outside(training: Training) -> int | None:
    """This process's rank, where torchrun or srun has started as many processes as share a training."""
    processes = training.devices * training.num_nodes
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if processes > 1 and os.environ.get(size) == str(processes) and rank in os.environ:
            return int(os.environ[rank])
    return None


def fit(task: Task, block: Any, console: Console, rank: int = 0) -> Trained:
    """Train a block, or go on with its training; its best weights are in it afterwards.

    :param block: prepared, untrained; see `untrained`.
    :param rank: of this process among the ``devices * num_nodes`` that share the training.
    :raises NumericalError: a loss that is not finite; the state before is kept.
    :raises StoreError: the folder cannot be written, or the state in it cannot be read.
    :raises LinksimError: the GPU's memory is too small.
    """
    training, num_ranks = task.training, task.training.devices * task.training.num_nodes
    device = own_device(task.device, training)
    drops = task.trainee.drops(device)
    plan = _plans(drops, num_ranks)[rank]
    minibatches = Minibatches(drops, plan, rank, num_ranks)
    state = task.folder / "resume" / "state.ckpt"
    with _quiet(), _own_random_numbers(device), _threads(task.scenario, device), _memory(task), \
            with_room(task.folder):
        block.to(device).train()
        block.antenna_pairs = training.antenna_pairs
        num_epochs = _num_epochs(task, block, minibatches, console, rank)
        stages = stage_lengths(num_epochs, getattr(block, "num_stages", 1))
        module = BlockModule(block, task.name, training, [length * plan.num_steps for length in stages],
                             condition_names(drops.conditions))
        selection, budget = Selection(training.patience), Budget(60 * training.max_minutes)
        trainer = _trainer(task, num_epochs, plan.num_steps, [
            Stages(stages, selection), selection, budget, Resumption(state),
            TrainingProgress(console, task.name, selection, budget)])
        try:
            _run(trainer, module, minibatches, state if state.is_file() else None)
        except NumericalError as error:
            raise NumericalError(f"{error}{_what_is_left(task, selection)}") from None
        block.load_state_dict(selection.weights, strict=False)
        block.eval()
        if hasattr(block, "finish"):
            with torch.no_grad(), doing(f"finishing {task.name}"):
                block.finish(minibatches.training())
        block.cpu()
    return Trained(selection.nmse, {
        "epochs": trainer.current_epoch, "epochs_planned": num_epochs, "best_epoch": selection.epoch + 1,
        "steps": trainer.global_step, "seconds": round(budget.used_s, 1), "device": _device_name(device),
        "devices": training.devices, "num_nodes": training.num_nodes, "threads": task.scenario.run.threads_per_worker,
    })


def _plans(drops: TrainingDrops, num_ranks: int) -> list[EpochPlan]:
    chunks = [chunk for chunk in drops.chunks if not chunk.validation]
    return [EpochPlan(chunks, drops.training, rank, num_ranks) for rank in range(num_ranks)]


def plan_path(folder: Path) -> Path:
    """Where the number of epochs is kept as long as a training lasts."""
    return folder / "resume" / "plan.json"


def _num_epochs(task: Task, block: Any, minibatches: Minibatches, console: Console, rank: int) -> int:
    """Epochs of the schedule: decided (and said) once, then the same after every interruption."""
    path = plan_path(task.folder)
    while rank > 0 and not path.is_file():  # the first process decides for all
        time.sleep(0.1)
    if (num_epochs := _planned_epochs(path)) is not None:
        if rank == 0:
            say(console, f"training {task.name} goes on from {path.parent}")
        return num_epochs
    with doing(f"first steps of {task.name}, to tell how long it will take"):
        estimate = measure(block, minibatches)
    num_epochs = estimate.epochs_within(task.training)
    say(console, _announcement(task, minibatches, estimate, num_epochs))
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


def _announcement(task: Task, minibatches: Minibatches, estimate: Estimate, num_epochs: int) -> str:
    training, drops = task.training, minibatches.drops
    for_training = sum(chunk.num_drops for chunk in drops.chunks if not chunk.validation)
    for_validation = sum(chunk.num_drops for chunk in drops.chunks if chunk.validation)
    shortened = f" (of {training.num_epochs}: max_minutes {training.max_minutes:g})" \
        if num_epochs < training.num_epochs else ""
    return (f"training {task.name} on {for_training} drops, {for_validation} more for validation: at most {num_epochs} "
            f"epochs{shortened} of {minibatches.plan.num_steps} steps of {training.batch_drops} drops, about "
            f"{duration(estimate.seconds(num_epochs))} on {_device_name(drops.device)}; no matching checkpoint in "
            f"{task.scenario.training.folder}")


def _trainer(task: Task, num_epochs: int, num_steps: int, callbacks: list[Any]) -> Trainer:
    training = task.training
    several = training.devices * training.num_nodes > 1
    kind, _, number = task.device.partition(":")
    return Trainer(
        accelerator="cpu" if kind == "cpu" else "gpu",
        devices=training.devices if kind == "cpu" or several else [int(number or 0)],
        num_nodes=training.num_nodes,
        # A block may have parameters that a loss does not reach, such as a language model's last layers. Buffers would
        # be exchanged in validation, too, of which processes may have different shares.
        strategy=DDPStrategy(find_unused_parameters=True, broadcast_buffers=False) if several else "auto",
        precision="32-true" if training.precision == 32 else training.precision,
        max_epochs=num_epochs, gradient_clip_val=training.gradient_clip or None,
        callbacks=callbacks, logger=EventLog(task.folder / "logs"),
        log_every_n_steps=min(10, num_steps), num_sanity_val_steps=0, use_distributed_sampler=False,
        inference_mode=False,  # its tensors could not be kept for training
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=task.folder,
    )


class _Steps:
    """The steps of Lightning's present epoch, from its present step on."""

    def __init__(self, minibatches: Minibatches, trainer: Trainer) -> None:
        self._minibatches = minibatches
        self._trainer = trainer

    def __len__(self) -> int:
        return self._minibatches.plan.num_steps

    def __iter__(self) -> Iterator[Minibatch]:
        # asked for when the first step is: by then Lightning knows where a resumed training stands
        first = self._trainer.fit_loop.epoch_loop.batch_progress.current.ready
        yield from self._minibatches.epoch(self._trainer.current_epoch, first)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the trainer's own state says all. Tells Lightning that an epoch can be resumed within."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""


class _Validation:
    """The validation drops, again in every epoch."""

    def __init__(self, minibatches: Minibatches) -> None:
        self._minibatches = minibatches

    def __len__(self) -> int:
        return len(self._minibatches.validation_chunks)

    def __iter__(self) -> Iterator[ValidationBatch]:
        return self._minibatches.validation()


def _run(trainer: Trainer, module: BlockModule, minibatches: Minibatches, state: Path | None) -> None:
    """Lightning's fit, with Ctrl-C as Python has it.

    :raises StoreError: the state cannot be read.
    """
    if state is not None:
        try:  # before Lightning does, to tell a damaged file from a fault in training
            torch.load(state, map_location="cpu", weights_only=True)
        except Exception as error:
            raise _damaged(state, error) from None
    begun = Begun()
    trainer.callbacks.append(begun)
    try:
        with handlers_kept():
            trainer.fit(module, _Steps(minibatches, trainer), _Validation(minibatches),
                        ckpt_path=None if state is None else str(state), weights_only=True)
    except (LinksimError, OSError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if state is None or begun.is_so:
            raise
        raise _damaged(state, error) from None
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def _damaged(state: Path, error: Exception) -> StoreError:
    return StoreError(f"{state}: damaged or of another version ({' '.join(str(error).split())[:80]}); delete "
                      f"{state.parent} to train anew")


def _what_is_left(task: Task, selection: Selection) -> str:
    """Where the last good weights are, and what may help."""
    best = ""
    if selection.weights:
        from linksim.training.checkpoint import write_checkpoint

        folder = task.folder / "resume" / "best"
        write_checkpoint(folder, selection.weights, {**task.trainee.about, "validation_nmse": selection.nmse})
        best = f"; the best so far (epoch {selection.epoch + 1}, {to_db(selection.nmse):.2f} dB) is kept in {folder}"
    return f"{best}; try a smaller training.learning_rate or training.gradient_clip"


@contextlib.contextmanager
def _memory(task: Task) -> Iterator[None]:
    """A GPU that is too small is told in one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        batch = task.training.batch_drops
        processes = task.training.devices * task.training.num_nodes
        smaller = batch // 2 // processes * processes
        fix = f"try training.batch_drops={smaller}" if smaller else "use a larger GPU or run.device=cpu"
        raise LinksimError(f"method {task.name!r}: {batch} drops per step do not fit the memory of "
                           f"{_device_name(task.device)}: {fix}") from None


@contextlib.contextmanager
def _own_random_numbers(device: str) -> Iterator[None]:
    """Torch's global generators are as they were afterwards."""
    with torch.random.fork_rng([torch.device(device)] if device != "cpu" else []):
        yield


@contextlib.contextmanager
def _threads(scenario: ResolvedScenario, device: str) -> Iterator[None]:
    """On the CPU as many threads as a run's workers have: sums in another order differ in the last digit."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(scenario.run.threads_per_worker)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's messages: those that matter here are linksim's own."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def own_device(device: str, training: Training) -> str:
    """The device of this process: with several, each has the GPU of its local rank."""
    if device == "cpu":
        return "cpu"
    if training.devices * training.num_nodes > 1:
        return f"cuda:{os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID', '0'))}"
    return device if ":" in device else f"{device}:0"


def _device_name(device: str) -> str:
    return "cpu" if device == "cpu" else torch.cuda.get_device_name(device)
