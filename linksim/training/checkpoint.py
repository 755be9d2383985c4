"""Checkpoints of trained blocks: safetensors and JSON, named by all that they were trained on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from rich.console import Console

import linksim
from linksim import registry
from linksim.blocks.prediction.trained import (
    ClosedFormPredictor,
    LearnedPredictor,
    ProblemShape,
    TrainedPredictor,
)
from linksim.blocks.state import matched
from linksim.errors import LinksimError, ScenarioError
from linksim.heartbeat import counted, doing
from linksim.printing import say
from linksim.scenario.schema import CHECKPOINT_WEIGHTS, Method, Scenario, block_of, checkpoint_of, training_of
from linksim.scenario.training import Training
from linksim.seeding import stream_seed
from linksim.training.conditions import CHUNK, methods_to_train, num_chunks, training_chunks, training_key
from linksim.training.data import TrainingDrops, problem_shape, training_batches
from linksim.training.folder import making, written_whole
from linksim.training.identity import (
    contradictions,
    differences,
    digest,
    identity,
    is_learned,
    malformed,
    method_named,
)
from linksim.training.trainee import Trainee

RELEASED = Path(linksim.__file__).parents[1] / "checkpoints" / "released"
"""Checkpoints that come with the repository; never written to."""

_ABOUT = "about.json"
_DIGEST = "weights_sha256"


def prepare(scenario: Scenario, device: str, console: Console, only: str | None = None) -> list[str]:
    """Train what has no matching checkpoint, saying so first.

    :param only: the name of a method; the others are left as they are.
    :returns: a line for the header about each trained method.
    :raises StoreError: the checkpoint folder cannot be written.
    :raises LinksimError: a checkpoint that is named does not fit; training failed.
    """
    lines = []
    for method in _with_teachers(scenario, methods_to_train(scenario, only)):
        if (line := _loaded(scenario, method)) is not None:
            lines.append(line)
            continue
        folder = checkpoint_folder(scenario, identity(scenario, method))
        began = time.monotonic()
        if is_learned(method):
            from linksim.training.launch import train

            made = train(PredictorTrainee(scenario, method), folder, device, console)
        else:
            with making(folder, console) as made:  # here, not by another process first
                if made:
                    _fit(scenario, method, folder, device, console)
        lines.append(f"{method.name}: {how_made('trained', made, began, folder)}")
    return lines


def planned(scenario: Scenario, only: str | None = None) -> list[str]:
    """A line for the header about each trained method, before `prepare`."""
    return [_loaded(scenario, method) or f"{method.name}: {to_be('trained', scenario)}"
            for method in _with_teachers(scenario, methods_to_train(scenario, only))]


def to_be(verb: str, scenario: Scenario) -> str:
    """What a header says of a block that has no checkpoint yet."""
    hint = " (--trained-only leaves it out)" if verb == "trained" else ""
    return f"no matching checkpoint in {scenario.training.folder}: {verb} first{hint}"


def how_made(verb: str, here: bool, began: float, folder: Path) -> str:
    """What is said of a checkpoint that was not there.

    :param here: by this process, and not by another one meanwhile.
    :param began: of the making, monotonic clock.
    """
    if not here:
        return f"loaded from {shown(folder)}, {verb} by another process meanwhile"
    return f"{verb} in {time.monotonic() - began:.0f} s, kept in {folder}"


def _loaded(scenario: Scenario, method: Method) -> str | None:
    """What is said of a method that has its checkpoint; None where it has none."""
    if given := checkpoint_of(method.predictor):
        return f"{method.name}: {_as_given(scenario, method, Path(given))}"
    folder = found_checkpoint(scenario, identity(scenario, method))
    return None if folder is None else f"{method.name}: loaded from {shown(folder)}"


def check_trained(scenario: Scenario, device: str, only: str | None = None) -> None:
    """Whether `prepare` can begin, as far as can be told before anything is drawn or written.

    Every block is made here once, from its checkpoint where there is one: a language model that is missing, a damaged
    file or a teacher that does not fit is found now, not when its turn comes after the others' trainings.

    :raises LinksimError: a checkpoint that is named does not fit; a training that cannot begin.
    """
    for method in _with_teachers(scenario, methods_to_train(scenario, only)):
        training = training_of(scenario, method)
        if given := checkpoint_of(method.predictor):
            _as_given(scenario, method, Path(given))
        elif is_learned(method) and found_checkpoint(scenario, identity(scenario, method)) is None:
            from linksim.training.trainer import check_task

            check_task(PredictorTrainee(scenario, method), device)
        try:
            block = _as_it_is(scenario, method)
            if training.teacher and not given:
                if not hasattr(block, "learn_from"):
                    raise ScenarioError(f"predictor {block.block_name!r} cannot be taught: leave training.teacher out")
                block.learn_from(_as_it_is(scenario, method_named(scenario, training.teacher)))
        except LinksimError as error:
            raise type(error)(f"method {method.name!r}: {error}") from None


def untrained(scenario: Scenario, method: Method) -> TrainedPredictor:
    """A method's block before its training.

    :raises LinksimError: options that contradict each other or the sizes, or a language model that is not to be had.
    """
    training = training_of(scenario, method)
    with torch.random.fork_rng([]):
        torch.manual_seed(stream_seed(training.weights_seed, "weights"))
        block = registry.create("predictor", *block_of(method.predictor))
        block.prepare(problem_shape(scenario, training))
    return block


class PredictorTrainee(Trainee):
    """A method's predictor."""

    part = "predictor"

    @cached_property
    def training(self) -> Training:
        return training_of(self.scenario, self.method)

    @cached_property
    def about(self) -> dict[str, Any]:
        return identity(self.scenario, self.method)

    def drops(self, device: str) -> TrainingDrops:
        return TrainingDrops(self.scenario, self.training, device)

    def untrained(self, device: str) -> TrainedPredictor:
        block = untrained(self.scenario, self.method)
        if self.training.start_from:
            start = load_predictor(self.scenario, method_named(self.scenario, self.training.start_from), "cpu")
            block.load_state_dict(start.state_dict())
        if self.training.teacher:
            block.learn_from(load_predictor(self.scenario, method_named(self.scenario, self.training.teacher), device))
        return block


def _as_it_is(scenario: Scenario, method: Method) -> TrainedPredictor:
    """A method's block from its checkpoint if there is one, else untrained; in evaluation mode."""
    if checkpoint_of(method.predictor) or found_checkpoint(scenario, identity(scenario, method)):
        return load_predictor(scenario, method, "cpu")
    return untrained(scenario, method).eval()


def load_predictor(scenario: Scenario, method: Method | str | dict[str, Any], device: str) -> TrainedPredictor:
    """A trained predictor from its checkpoint.

    :param method: or its predictor alone, trained as the scenario says.
    :raises LinksimError: no matching checkpoint (a worker on a machine that does not share the folder), or a damaged
        one.
    """
    if not isinstance(method, Method):
        method = Method(name="predictor", predictor=method)
    if given := checkpoint_of(method.predictor):
        folder = Path(given)
        shape = _read_about(folder)["shape"]
    else:
        about = identity(scenario, method)
        folder, shape = found_checkpoint(scenario, about) or checkpoint_folder(scenario, about), about["shape"]
    state = read_weights(folder)
    with torch.random.fork_rng([]):  # initial weights, replaced at once
        block = registry.create("predictor", *block_of(method.predictor))
        block.prepare(ProblemShape(**shape))
    _fill(block, state, folder)
    return block.to(device).eval()


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by name.

    :raises LinksimError: there is none (a worker on a machine that does not share the folder), or it is damaged: not
        the bytes that ``about.json`` tells of, where it does.
    """
    path = folder / CHECKPOINT_WEIGHTS
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != _written_digest(folder, content):
            raise ValueError(f"other bytes than {_ABOUT} tells of")
        return safetensors.torch.load(content)
    except FileNotFoundError:
        raise LinksimError(f"{folder}: no checkpoint here; run `linksim train` where this folder is shared") from None
    except (OSError, safetensors.SafetensorError, LookupError, ValueError, TypeError, RuntimeError, MemoryError,
            OverflowError) as error:
        raise LinksimError(f"{path}: damaged ({error}); delete the folder and train again") from None


def _written_digest(folder: Path, content: bytes) -> str:
    """Of the weights, as ``about.json`` has it; that of the content itself where it has none (before 0.2)."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        if isinstance(about, dict) and _DIGEST in about:
            return about[_DIGEST]
    return hashlib.sha256(content).hexdigest()


def write_checkpoint(folder: Path, state: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    """Write a checkpoint; it counts once its weights are there, whole.

    :raises StoreError: the folder cannot be written.
    """
    content = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
    with written_whole(folder / _ABOUT) as waiting:
        about = {**about, _DIGEST: hashlib.sha256(content).hexdigest()}
        waiting.write_text(json.dumps(about, indent=1), encoding="utf-8")
    with written_whole(folder / CHECKPOINT_WEIGHTS) as waiting:
        waiting.write_bytes(content)


def _with_teachers(scenario: Scenario, methods: list[Method]) -> list[Method]:
    """Each method once, first the teachers of those that are still to be trained, and what they start from."""
    learning = [method for method in methods if not checkpoint_of(method.predictor)
                and found_checkpoint(scenario, identity(scenario, method)) is None]
    names = [name for method in learning for training in [training_of(scenario, method)]
             for name in (training.teacher, training.start_from) if name]
    before = [method_named(scenario, name) for name in names]
    return list({training_key(method): method for method in [*before, *methods]}.values())


def found_checkpoint(scenario: Scenario, about: dict[str, Any]) -> Path | None:
    """The folder of a matching checkpoint: one's own, else a released one."""
    for folder in (checkpoint_folder(scenario, about), RELEASED / _name(about)):
        if (folder / CHECKPOINT_WEIGHTS).is_file():
            return folder
    return None


def checkpoint_folder(scenario: Scenario, about: dict[str, Any]) -> Path:
    """Where the checkpoint of this identity is, or would be, kept."""
    return Path(scenario.training.folder) / _name(about)


def shown(folder: Path) -> str:
    """How a checkpoint folder is written for people: relative where it lies in the working folder."""
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def _name(about: dict[str, Any]) -> str:
    return f"{about['block']}-{digest(about)}"


def _as_given(scenario: Scenario, method: Method, folder: Path) -> str:
    """What to say of a checkpoint that the scenario names, which may have been trained on something else.

    :raises ScenarioError: it does not say what it is, is of another block, or was made for other options or sizes.
    """
    there, here = _read_about(folder), identity(scenario, method)
    if faults := contradictions(there, here):
        raise ScenarioError(f"method {method.name!r}: the checkpoint {folder} does not fit: {_listed(faults)}")
    others = differences(there, here)
    return f"loaded from {folder} as given" + (f", which was trained otherwise: {_listed(others)}" if others else "")


def _listed(texts: list[str]) -> str:
    return "; ".join(texts[:_MOST_LISTED]) + f"; and {len(texts) - _MOST_LISTED} more" * (len(texts) > _MOST_LISTED)


_MOST_LISTED = 12


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        if fault := malformed(about):
            raise ValueError(fault)
        return about
    except (OSError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{folder / _ABOUT}: not what a predictor's checkpoint says of itself ({error}); name "
                            "another checkpoint, or train anew") from None


def _fill(block: TrainedPredictor, state: dict[str, torch.Tensor], folder: Path) -> None:
    """Put a checkpoint's tensors into a block; only a frozen backbone has its own already.

    :raises LinksimError: names, sizes or types are not the block's.
    """
    expected = block.saved_state() if isinstance(block, LearnedPredictor) else block.state_dict()
    try:
        block.load_state_dict(matched(expected, state, block.block_name), strict=False)
    except LinksimError as error:
        raise LinksimError(f"{folder}: {error}; delete it and train again, or name another one") from None


def _fit(scenario: Scenario, method: Method, folder: Path, device: str, console: Console) -> None:
    training = training_of(scenario, method)
    drops = sum(chunk.num_drops for chunk in training_chunks(scenario, training))
    say(console, f"training {method.name} on {drops} drops: no matching checkpoint in {scenario.training.folder}; "
        f"about {_estimate_s(scenario, training):.0f} s")
    block = untrained(scenario, method)
    if not isinstance(block, ClosedFormPredictor):
        raise LinksimError(f"predictor {block.block_name!r} does not say how it is trained")
    chunks = len(training_chunks(scenario, training))
    for batch, validation in counted(f"fitting {method.name}", training_batches(scenario, device, training), chunks):
        block.observe(batch, validation)
    with doing(f"solving for {method.name}"):
        score = block.solve()
    write_checkpoint(folder, block.state_dict(), {**identity(scenario, method), "validation_nmse": score})


def _estimate_s(scenario: Scenario, training: Training) -> float:
    """Rough time to draw the training drops: 5 ms for each 32 antennas x 20 times x 48 tones of a user."""
    channel = scenario.channel
    samples = channel.bs_array.num_antennas * channel.num_subcarriers * (channel.num_history + channel.num_future)
    return 1 + num_chunks(scenario, training) * CHUNK * samples / 30_000 * 0.01
