"""Codecs that are fitted or trained before a run: what they depend on, their training, their checkpoints."""

from __future__ import annotations

import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from linksim import registry
from linksim.blocks.feedback.learned import LearnedCodec
from linksim.blocks.feedback.trained import ClosedFormCodec, FeedbackShape, TrainedCodec
from linksim.channel.streaming import prefetched
from linksim.csi import Panel
from linksim.errors import LinksimError
from linksim.heartbeat import counted, doing
from linksim.printing import say
from linksim.scenario.channel import drawn_fields
from linksim.scenario.schema import Method, Scenario, codec_of, has_trained_codec, simulated_methods
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
from linksim.training.codec_data import CodecDrops, codec_conditions, codec_remembers, codec_training
from linksim.training.folder import making
from linksim.training.identity import digest, learned_fields, method_named
from linksim.training.trainee import Trainee, named_method

BUDGET_OPTIONS = ("bits", "quantization", "value_bits")


def codec_key(scenario: Scenario, method: Method) -> str:
    """Codecs with the same key are the same fitted block; the budget is none of it."""
    name, options = codec_of(scenario, method)
    training = {} if method.codec_training is None else method.codec_training.model_dump(exclude_none=True)
    return repr((name, sorted(_without_budget(options).items()), sorted(training.items())))


def methods_with_fitted_codecs(scenario: Scenario) -> list[Method]:
    """One method for each codec that is fitted or trained before a run."""
    found: dict[str, Method] = {}
    for method in simulated_methods(scenario):
        if has_trained_codec(method):
            found.setdefault(codec_key(scenario, method), method)
    # what others start from comes first
    return sorted(found.values(), key=lambda method: bool(codec_training(scenario, method).start_from))


def codec_identity(scenario: Scenario, method: Method) -> dict[str, Any]:
    """What a codec's checkpoint depends on, as JSON can hold it."""
    name, options = codec_of(scenario, method)
    training = codec_training(scenario, method)
    conditions = codec_conditions(scenario, training, codec_remembers(scenario, method))
    drawn = [drawn_fields(channel) for channel, _ in conditions]
    about = {
        "block": name, "version": registry.block_class("feedback", name).version,
        "options": _without_budget(options), "num_drops": training.num_drops, "seed": training.seed,
        "fraction": training.fraction, "training_file": scenario.channel.files.training_sha256,
    }
    if _is_learned(name):
        about |= {"conditions": drawn, "csi_snr_db": training.csi_snr_db, "training": learned_fields(training)}
        if training.start_from:
            start = codec_identity(scenario, method_named(scenario, training.start_from))
            about["start_from"] = {"block": start["block"], "checkpoint": digest(start)}
    else:  # fitted on noiseless channels
        about["conditions"] = sorted(drawn, key=repr)
    return json.loads(json.dumps(about))


class CodecTrainee(Trainee):
    """The codec of a method's reports."""

    part = "feedback"

    @property
    def name(self) -> str:
        return f"codec of {self.method.name}"

    @cached_property
    def training(self) -> Training:
        return codec_training(self.scenario, self.method)

    @cached_property
    def about(self) -> dict[str, Any]:
        return codec_identity(self.scenario, self.method)

    def drops(self, device: str) -> CodecDrops:
        _, options = codec_of(self.scenario, self.method)
        return CodecDrops(self.scenario, self.training, device, options["delay_window"])

    def untrained(self, device: str) -> LearnedCodec:
        with torch.random.fork_rng([]):
            torch.manual_seed(stream_seed(self.training.weights_seed, "weights"))
            block = _shaped(self.scenario, self.method)
        if self.training.start_from:
            start = load_codec(self.scenario, method_named(self.scenario, self.training.start_from))
            block.restore(start.saved_state())
        return block


def check_codecs(scenario: Scenario, device: str, only: str | None = None) -> None:
    """Whether `prepare_codecs` can begin, as far as can be told before anything is drawn or written.

    :raises LinksimError: a training that cannot begin, a language model that is not to be had, a damaged checkpoint.
    """
    for method in _picked(scenario, only):
        with named_method(method):
            if found_checkpoint(scenario, codec_identity(scenario, method)) is not None:
                load_codec(scenario, method)
            elif _is_learned(codec_of(scenario, method)[0]):
                from linksim.training.trainer import check_task

                trainee = CodecTrainee(scenario, method)
                check_task(trainee, device)
                _shaped(scenario, method)


def prepare_codecs(scenario: Scenario, device: str, console: Console, only: str | None = None) -> list[str]:
    """Fit or train what has no matching checkpoint, saying so first.

    :param only: the name of a method; the codecs of others are left as they are.
    :returns: a line for the header about each codec.
    :raises StoreError: the checkpoint folder cannot be written.
    :raises LinksimError: training failed.
    """
    lines = []
    for method in _picked(scenario, only):
        if (line := _loaded(scenario, method)) is not None:
            lines.append(line)
            continue
        about = codec_identity(scenario, method)
        folder, began, verb = checkpoint_folder(scenario, about), time.monotonic(), _verb(about)
        if verb == "trained":
            from linksim.training.launch import train

            made = train(CodecTrainee(scenario, method), folder, device, console)
        else:
            with making(folder, console) as made:  # here, not by another process first
                if made:
                    _fit(scenario, method, folder, device, console)
        lines.append(f"codec of {method.name}: {how_made(verb, made, began, folder)}")
    return lines


def planned_codecs(scenario: Scenario, only: str | None = None) -> list[str]:
    """A line for the header about each codec, before `prepare_codecs`."""
    return [_loaded(scenario, method)
            or f"codec of {method.name}: {to_be(_verb(codec_identity(scenario, method)), scenario)}"
            for method in _picked(scenario, only)]


def _verb(about: dict[str, Any]) -> str:
    return "trained" if _is_learned(about["block"]) else "fitted"


def _loaded(scenario: Scenario, method: Method) -> str | None:
    folder = found_checkpoint(scenario, codec_identity(scenario, method))
    return None if folder is None else f"codec of {method.name}: loaded from {shown(folder)}"


def load_codec(scenario: Scenario, method: Method) -> TrainedCodec:
    """A codec from its checkpoint, on the CPU, in evaluation mode; its budget is the method's.

    :raises LinksimError: no matching checkpoint, or a damaged one.
    """
    about = codec_identity(scenario, method)
    folder = found_checkpoint(scenario, about) or checkpoint_folder(scenario, about)
    state = read_weights(folder)
    with torch.random.fork_rng([]):  # initial weights, replaced at once
        codec = _shaped(scenario, method)
    try:
        codec.restore(state)
    except LinksimError as error:
        raise LinksimError(f"{folder}: {error}; delete the folder and fit again") from None
    return codec.eval()


def _shaped(scenario: Scenario, method: Method) -> TrainedCodec:
    """A method's codec of the scenario's sizes, untrained."""
    array = scenario.channel.bs_array
    panel = Panel(array.rows, array.columns, 2 if array.polarization == "dual" else 1)
    codec = registry.create("feedback", *codec_of(scenario, method))
    codec.prepare(FeedbackShape(scenario.channel.ue_array.num_antennas, panel, scenario.channel.num_subcarriers))
    return codec


def _fit(scenario: Scenario, method: Method, folder: Path, device: str, console: Console) -> None:
    drops = CodecDrops(scenario, codec_training(scenario, method), device, remembers=codec_remembers(scenario, method))
    count = sum(chunk.num_drops for chunk in drops.chunks)
    say(console, f"fitting codec of {method.name} on {count} drops: no matching checkpoint in "
        f"{scenario.training.folder}")
    codec = _shaped(scenario, method)
    if not isinstance(codec, ClosedFormCodec):
        raise LinksimError(f"feedback {codec.block_name!r} does not say how it is fitted")
    with torch.inference_mode():
        drawn = zip(drops.chunks, prefetched(drops.draw, drops.chunks, device), strict=True)
        for chunk, batch in counted(f"fitting codec of {method.name}", drawn, len(drops.chunks)):
            codec.observe(batch.future, chunk.validation)
        with doing(f"solving for codec of {method.name}"):
            score = codec.solve()
    write_checkpoint(folder, codec.saved_state(), {**codec_identity(scenario, method), "validation_nmse": score})


def is_learned_codec(scenario: Scenario, method: Method) -> bool:
    """Whether the codec of a method's reports is trained by gradient descent."""
    return _is_learned(codec_of(scenario, method)[0])


def _is_learned(name: str) -> bool:
    made_by = registry.block_class("feedback", name)
    return isinstance(made_by, type) and issubclass(made_by, LearnedCodec)


def _without_budget(options: dict[str, Any]) -> dict[str, Any]:
    """What a codec is made of; how its codewords are quantised is chosen when it is used."""
    return {key: value for key, value in options.items() if key not in BUDGET_OPTIONS}


def _picked(scenario: Scenario, only: str | None) -> list[Method]:
    """Methods whose codecs are wanted; none where the name is another's, or that of a predictor's swept value."""
    methods = methods_with_fitted_codecs(scenario)
    if only is None:
        return methods
    wanted = next((method for method in scenario.methods if method.name == only), None)
    if wanted is None or wanted.feedback is None:
        return []
    start = codec_training(scenario, wanted).start_from
    keys = {codec_key(scenario, one) for one in ([wanted, method_named(scenario, start)] if start else [wanted])}
    return [method for method in methods if codec_key(scenario, method) in keys]
