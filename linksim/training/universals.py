"""Blocks that answer tasks: what they depend on, their training, their checkpoints."""

from __future__ import annotations

import contextlib
import json
import time
from functools import cached_property
from typing import Any

import torch
from rich.console import Console

from linksim import registry
from linksim.blocks.state import matched
from linksim.blocks.universal.base import FittedBlock, UniversalBlock, UniversalShape, truth_of, views_of
from linksim.blocks.universal.learned import LearnedUniversalBlock
from linksim.channel.streaming import prefetched
from linksim.csi import Panel
from linksim.errors import LinksimError, ScenarioError
from linksim.heartbeat import counted, doing
from linksim.printing import say
from linksim.scenario.channel import Channel, drawn_fields
from linksim.scenario.schema import Method, Scenario, only_teaches, universal_of
from linksim.scenario.training import Training
from linksim.seeding import stream_seed
from linksim.training.checkpoint import (
    checkpoint_folder,
    found_checkpoint,
    how_made,
    read_weights,
    shown,
    to_be,
    write_checkpoint,
)
from linksim.training.conditions import training_conditions
from linksim.training.folder import making
from linksim.training.identity import digest, learned_fields, method_named
from linksim.training.trainee import Trainee, named_method
from linksim.training.universal_data import PlacedDrops, universal_methods, universal_training


def universal_shape(scenario: Scenario) -> UniversalShape:
    """Sizes that the scenario's blocks are made for."""
    channel, array = scenario.channel, scenario.channel.bs_array
    panel = Panel(array.rows, array.columns, 2 if array.polarization == "dual" else 1)
    return UniversalShape(channel.ue_array.num_antennas, panel, channel.num_subcarriers,
                          channel.subcarrier_spacing_khz * 1e3, scenario.link.num_streams_per_user)


def universal_identity(scenario: Scenario, method: Method) -> dict[str, Any]:
    """What a block's checkpoint depends on, as JSON can hold it."""
    name, options = universal_of(method)
    training, shape = universal_training(scenario, method), universal_shape(scenario)
    about = {
        "block": name, "version": registry.block_class("universal", name).version, "options": options,
        "shape": {**_sizes(shape), "panel": vars(shape.panel)},
        "conditions": [[drawn_fields(channel), acquisition.model_dump(mode="json")]
                       for channel, acquisition in training_conditions(scenario, training)],
        "num_drops": training.num_drops, "seed": training.seed, "fraction": training.fraction,
        "csi_snr_db": training.csi_snr_db,
    }
    if _is_learned(name):
        about["training"] = learned_fields(training)
    if training.teacher:
        teacher = universal_identity(scenario, method_named(scenario, training.teacher))
        about["teacher"] = {"block": teacher["block"], "checkpoint": digest(teacher)}
    return json.loads(json.dumps(about))


def _sizes(shape: UniversalShape) -> dict[str, Any]:
    """One stream goes without saying: checkpoints of the time when there was no other do not."""
    return {name: size for name, size in vars(shape).items() if (name, size) != ("num_streams", 1)}


class UniversalTrainee(Trainee):
    """What answers a method's tasks."""

    part = "universal"

    @cached_property
    def training(self) -> Training:
        return universal_training(self.scenario, self.method)

    @cached_property
    def about(self) -> dict[str, Any]:
        return universal_identity(self.scenario, self.method)

    @property
    def is_learned(self) -> bool:
        """By gradient descent, not in closed form."""
        return _is_learned(universal_of(self.method)[0])

    def drops(self, device: str) -> PlacedDrops:
        return PlacedDrops(self.scenario, self.training, device)

    def untrained(self, device: str = "cpu") -> LearnedUniversalBlock:
        block = _made(self.scenario, self.method, self.training)
        if self.training.teacher:
            block.learn_from(load_universal(self.scenario, method_named(self.scenario, self.training.teacher)))
        return block


def check_universals(scenario: Scenario, device: str, only: str | None = None) -> None:
    """Whether `prepare_universals` can begin, as far as can be told before anything is drawn or written.

    :raises LinksimError: a training that cannot begin, a language model that is not to be had, a damaged checkpoint.
    """
    for trainee in _picked(scenario, only):
        there, method, training = trainee.scenario, trainee.method, trainee.training
        with named_method(method):
            if found_checkpoint(there, trainee.about) is not None:
                load_universal(there, method)
                continue
            block = _made(there, method, training)
            if trainee.is_learned:
                from linksim.training.trainer import check_task

                check_task(trainee, device)
            if getattr(block, "needs_teacher", False) and not training.teacher:
                raise ScenarioError(f"{block.block_name} takes its encoders from one with universal: alignment: name "
                                    "that in universal_training.teacher, or write encoders: scratch")
            if training.teacher:
                if not hasattr(block, "learn_from"):
                    raise ScenarioError(f"{block.block_name} cannot be taught: leave universal_training.teacher out")
                teacher = method_named(there, training.teacher)
                block.learn_from(_made(there, teacher, universal_training(there, teacher)))


def channels_to_train_on(scenario: Scenario) -> list[Channel]:
    """Channels of the trainings and fits that `prepare_universals` would begin."""
    return [channel for trainee in _picked(scenario, None)
            if found_checkpoint(trainee.scenario, trainee.about) is None
            for channel, _ in training_conditions(trainee.scenario, trainee.training)]


def prepare_universals(scenario: Scenario, device: str, console: Console, only: str | None = None) -> list[str]:
    """Train or fit what has no matching checkpoint, saying so first.

    :param only: the name of a method; the blocks of others are left as they are, but for its teacher.
    :returns: a line for the header about each block.
    :raises StoreError: the checkpoint folder cannot be written.
    :raises LinksimError: training failed.
    """
    picked = _picked(scenario, only)
    lines: dict[UniversalTrainee, str] = {}
    for trainee in picked:
        if (folder := found_checkpoint(trainee.scenario, trainee.about)) is not None:
            lines[trainee] = f"{trainee.name}: loaded from {shown(folder)}"
        elif trainee.is_learned:
            from linksim.training.launch import train

            folder, began = checkpoint_folder(trainee.scenario, trainee.about), time.monotonic()
            made = train(trainee, folder, device, console)
            lines[trainee] = f"{trainee.name}: {how_made('trained', made, began, folder)}"
    for together in _alike([trainee for trainee in picked if trainee not in lines]):
        began, folders = time.monotonic(), {one: checkpoint_folder(one.scenario, one.about) for one in together}
        with contextlib.ExitStack() as stack:  # in one order for all, or two processes would wait for each other
            missing = [trainee for trainee in sorted(together, key=folders.get)
                       if stack.enter_context(making(folders[trainee], console))]
            if missing:
                _fit([trainee for trainee in together if trainee in missing], device, console)
        for trainee, folder in folders.items():
            lines[trainee] = f"{trainee.name}: {how_made('fitted', trainee in missing, began, folder)}"
    return [lines[trainee] for trainee in picked]


def planned_universals(scenario: Scenario, only: str | None = None) -> list[str]:
    """A line for the header about each block, before `prepare_universals`."""
    lines = []
    for trainee in _picked(scenario, only):
        folder = found_checkpoint(trainee.scenario, trainee.about)
        lines.append(f"{trainee.name}: " + (
            f"loaded from {shown(folder)}" if folder is not None else
            to_be("trained" if trainee.is_learned else "fitted", trainee.scenario)))
    return lines


def load_universal(scenario: Scenario, method: Method) -> UniversalBlock:
    """A block from its checkpoint, on the CPU, in evaluation mode; one that learns nothing as it is.

    :raises LinksimError: no matching checkpoint, or a damaged one.
    """
    block = _made(scenario, method, universal_training(scenario, method))
    if not registry.find("universal", universal_of(method)[0]).trains:
        return block.eval()
    about = universal_identity(scenario, method)
    folder = found_checkpoint(scenario, about) or checkpoint_folder(scenario, about)
    fill(block, read_weights(folder), str(folder))
    return block.eval()


def fill(block: UniversalBlock, state: dict[str, torch.Tensor], where: str) -> None:
    """Put a checkpoint's tensors into a block; only a frozen language model has its own already.

    :raises LinksimError: names, sizes or types are not the block's.
    """
    expected = block.saved_state() if isinstance(block, LearnedUniversalBlock) else block.state_dict()
    try:
        block.load_state_dict(matched(expected, state, block.block_name), strict=False)
    except LinksimError as error:
        raise LinksimError(f"{where}: {error}; delete the folder and train again") from None


def _made(scenario: Scenario, method: Method, training: Training) -> Any:
    """The block before its training."""
    with torch.random.fork_rng([]):
        torch.manual_seed(stream_seed(training.weights_seed, "weights"))
        block = registry.create("universal", *universal_of(method))
        block.prepare(universal_shape(scenario))
    return block


def _alike(trainees: list[UniversalTrainee]) -> list[list[UniversalTrainee]]:
    """Those that are fitted to the same drops, together."""
    groups: list[list[UniversalTrainee]] = []
    for trainee in trainees:
        same = [group for group in groups if group[0].training == trainee.training]
        if same:
            same[0].append(trainee)
        else:
            groups.append([trainee])
    return groups


def _fit(trainees: list[UniversalTrainee], device: str, console: Console) -> None:
    """Fit blocks in closed form, each drop drawn once for all of them.

    :param trainees: at least one, all of the same training.
    """
    drops, blocks = trainees[0].drops(device), []
    for trainee in trainees:
        with named_method(trainee.method):
            blocks.append(trainee.untrained())
            if not isinstance(blocks[-1], FittedBlock):
                raise LinksimError(f"universal {blocks[-1].block_name!r} does not say how it is trained")
    say(console, f"fitting {', '.join(trainee.name for trainee in trainees)} to "
        f"{sum(chunk.num_drops for chunk in drops.chunks)} drops: no matching checkpoint in "
        f"{drops.scenario.training.folder}")
    drawn = zip(drops.chunks, prefetched(drops.draw, drops.chunks, device), strict=True)
    for chunk, true in counted("fitting", drawn, len(drops.chunks)):
        with torch.inference_mode():
            batch = drops.observed(chunk, true)
            seen = views_of(batch.history, batch.places), truth_of(batch.future, batch.places), chunk.validation
            for block in blocks:
                block.observe(*seen)
    for trainee, block in zip(trainees, blocks):
        with torch.no_grad(), doing(f"solving for {trainee.name}"):
            error = block.solve()
        folder = checkpoint_folder(trainee.scenario, trainee.about)
        write_checkpoint(folder, block.state_dict(), {**trainee.about, "validation_nmse": error})


def _is_learned(name: str) -> bool:
    """By gradient descent."""
    made_by = registry.block_class("universal", name)
    return isinstance(made_by, type) and issubclass(made_by, LearnedUniversalBlock)


def _picked(scenario: Scenario, only: str | None) -> list[UniversalTrainee]:
    """What is wanted, the teachers of those that are still to be trained first.

    :param only: the name of a method, with its swept values or without.
    """
    trained = [UniversalTrainee(there, method) for there, method in universal_methods(scenario, only)
               if registry.find("universal", universal_of(method)[0]).trains]
    teachers = [UniversalTrainee(trainee.scenario, method_named(trainee.scenario, trainee.training.teacher))
                for trainee in trained
                if trainee.training.teacher and found_checkpoint(trainee.scenario, trainee.about) is None]
    found: dict[str, UniversalTrainee] = {}
    # who only teaches is not needed where there is nobody to teach
    for trainee in [*teachers, *(one for one in trained if only is not None or not only_teaches(one.method))]:
        found.setdefault(digest(trainee.about), trainee)
    return list(found.values())
