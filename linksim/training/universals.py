"""Blocks that answer tasks: what they depend on, their training, their checkpoints."""

from __future__ import annotations

import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from linksim import registry
from linksim.blocks.universal.base import FittedBlock, UniversalBlock, UniversalShape, truth_of, views_of
from linksim.blocks.universal.learned import LearnedUniversalBlock
from linksim.channel.streaming import prefetched
from linksim.csi import Panel
from linksim.errors import LinksimError, ScenarioError
from linksim.scenario.channel import Channel, drawn_fields
from linksim.scenario.schema import Method, Scenario, only_teaches, universal_of
from linksim.scenario.training import Training
from linksim.seeding import stream_seed
from linksim.training.checkpoint import checkpoint_folder, found_checkpoint, read_weights, shown, write_checkpoint
from linksim.training.conditions import training_conditions
from linksim.training.identity import digest, learned_fields, method_named
from linksim.training.trainee import Trainee, named_method
from linksim.training.universal_data import PlacedDrops, universal_training


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
    for method in _picked(scenario, only):
        with named_method(method):
            training = universal_training(scenario, method)
            if found_checkpoint(scenario, universal_identity(scenario, method)) is not None:
                load_universal(scenario, method)
                continue
            block = _made(scenario, method, training)
            if _is_learned(universal_of(method)[0]):
                from linksim.training.trainer import check_task

                check_task(UniversalTrainee(scenario, method), device)
            if getattr(block, "needs_teacher", False) and not training.teacher:
                raise ScenarioError(f"{block.block_name} takes its encoders from one with universal: alignment: name "
                                    "that in universal_training.teacher, or write encoders: scratch")
            if training.teacher:
                if not hasattr(block, "learn_from"):
                    raise ScenarioError(f"{block.block_name} cannot be taught: leave universal_training.teacher out")
                teacher = method_named(scenario, training.teacher)
                block.learn_from(_made(scenario, teacher, universal_training(scenario, teacher)))


def channels_to_train_on(scenario: Scenario) -> list[Channel]:
    """Channels of the trainings and fits that `prepare_universals` would begin."""
    return [channel for method in _picked(scenario, None)
            if found_checkpoint(scenario, universal_identity(scenario, method)) is None
            for channel, _ in training_conditions(scenario, universal_training(scenario, method))]


def prepare_universals(scenario: Scenario, device: str, console: Console, only: str | None = None) -> list[str]:
    """Train or fit what has no matching checkpoint, saying so first.

    :param only: the name of a method; the blocks of others are left as they are, but for its teacher.
    :returns: a line for the header about each block.
    :raises StoreError: the checkpoint folder cannot be written, or another process is training there.
    :raises LinksimError: training failed.
    """
    picked, lines = _picked(scenario, only), {}
    for method in picked:
        about = universal_identity(scenario, method)
        if (folder := found_checkpoint(scenario, about)) is not None:
            lines[method.name] = f"{method.name}: loaded from {shown(folder)}"
        elif _is_learned(about["block"]):
            from linksim.training.launch import train

            folder, began = checkpoint_folder(scenario, about), time.monotonic()
            train(UniversalTrainee(scenario, method), folder, device, console)
            lines[method.name] = f"{method.name}: trained in {time.monotonic() - began:.0f} s, kept in {folder}"
    for together in _alike(scenario, [method for method in picked if method.name not in lines]):
        began = time.monotonic()
        for method, folder in zip(together, _fit(scenario, together, device, console)):
            lines[method.name] = f"{method.name}: fitted in {time.monotonic() - began:.0f} s, kept in {folder}"
    return [lines[method.name] for method in picked]


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

    :raises LinksimError: names or sizes are not the block's.
    """
    expected = set(block.saved_state() if isinstance(block, LearnedUniversalBlock) else block.state_dict())
    try:
        if expected != set(state):
            raise RuntimeError
        block.load_state_dict(state, strict=False)
    except RuntimeError:
        raise LinksimError(f"{where}: does not fit {block.block_name}; delete the folder and train again") from None


def _made(scenario: Scenario, method: Method, training: Training) -> Any:
    """The block before its training."""
    with torch.random.fork_rng([]):
        torch.manual_seed(stream_seed(training.weights_seed, "weights"))
        block = registry.create("universal", *universal_of(method))
        block.prepare(universal_shape(scenario))
    return block


def _alike(scenario: Scenario, methods: list[Method]) -> list[list[Method]]:
    """Those that are fitted to the same drops, together."""
    groups: list[tuple[Training, list[Method]]] = []
    for method in methods:
        training = universal_training(scenario, method)
        for same, group in groups:
            if same == training:
                group.append(method)
                break
        else:
            groups.append((training, [method]))
    return [group for _, group in groups]


def _fit(scenario: Scenario, methods: list[Method], device: str, console: Console) -> list[Path]:
    """Fit blocks in closed form, each drop drawn once for all of them.

    :returns: where they are kept.
    """
    trainees = [UniversalTrainee(scenario, method) for method in methods]
    drops, blocks = trainees[0].drops(device), []
    for trainee in trainees:
        with named_method(trainee.method):
            blocks.append(trainee.untrained())
            if not isinstance(blocks[-1], FittedBlock):
                raise LinksimError(f"universal {blocks[-1].block_name!r} does not say how it is trained")
    console.print(f"fitting {', '.join(trainee.name for trainee in trainees)} to "
                  f"{sum(chunk.num_drops for chunk in drops.chunks)} drops: no matching checkpoint in "
                  f"{scenario.training.folder}", highlight=False, soft_wrap=True)
    for chunk, true in zip(drops.chunks, prefetched(drops.draw, drops.chunks, device), strict=True):
        with torch.inference_mode():
            batch = drops.observed(chunk, true)
            seen = views_of(batch.history, batch.places), truth_of(batch.future, batch.places), chunk.validation
            for block in blocks:
                block.observe(*seen)
    folders = []
    for trainee, block in zip(trainees, blocks):
        with torch.no_grad():
            error = block.solve()
        folders.append(checkpoint_folder(scenario, trainee.about))
        write_checkpoint(folders[-1], block.state_dict(), {**trainee.about, "validation_nmse": error})
    return folders


def _is_learned(name: str) -> bool:
    made_by = registry.block_class("universal", name)
    return isinstance(made_by, type) and issubclass(made_by, LearnedUniversalBlock)


def _picked(scenario: Scenario, only: str | None) -> list[Method]:
    """Methods whose blocks are wanted, the teachers of those that are still to be trained first.

    :raises ScenarioError: no method of that name.
    """
    trained = [method for method in scenario.methods if method.universal is not None
               and registry.find("universal", universal_of(method)[0]).trains]
    if only is not None:
        names = [method.name for method in scenario.methods]
        if only not in names:
            raise ScenarioError(f"--method {only}: no such method: did you mean {registry.nearest(only, names)!r}?")
        trained = [method for method in trained if method.name == only]
    students = [method for method in trained
                if found_checkpoint(scenario, universal_identity(scenario, method)) is None]
    teachers = [method_named(scenario, training.teacher) for method in students
                for training in [universal_training(scenario, method)] if training.teacher]
    found: dict[str, Method] = {}
    # who only teaches is not needed where there is nobody to teach
    for method in [*teachers, *(one for one in trained if only is not None or not only_teaches(one))]:
        found.setdefault(digest(universal_identity(scenario, method)), method)
    return list(found.values())
