"""Checkpoints of trained blocks: safetensors and JSON, named by all that they were trained on."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from rich.console import Console

from linksim import registry
from linksim.blocks.prediction.trained import ClosedFormPredictor, TrainedPredictor
from linksim.errors import LinksimError, StoreError
from linksim.scenario.schema import NOT_DRAWN, Scenario, block_of, later_fields, trained_methods
from linksim.training.data import CHUNK, num_chunks, problem_shape, training_batches, training_conditions


def prepare(scenario: Scenario, device: str, console: Console) -> list[str]:
    """Train what has no matching checkpoint, saying so first.

    :returns: a line for the header about each trained method.
    :raises StoreError: the checkpoint folder cannot be written.
    """
    lines = []
    for method in trained_methods(scenario):
        about = _about(scenario, method.predictor)
        folder = _folder(scenario, about)
        if (folder / "weights.safetensors").is_file():
            lines.append(f"{method.name}: loaded from {folder}")
            continue
        console.print(f"training {method.name} on {num_chunks(scenario) * CHUNK} drops: no matching checkpoint in "
                      f"{scenario.training.folder}; about {_estimate_s(scenario):.0f} s", highlight=False)
        began = time.monotonic()
        block, score = _fit(scenario, method.predictor, device)
        _save(folder, block, {**about, "validation_nmse": score})
        lines.append(f"{method.name}: trained in {time.monotonic() - began:.0f} s, kept in {folder}")
    return lines


def load_predictor(scenario: Scenario, reference: str | dict[str, Any], device: str) -> TrainedPredictor:
    """A trained predictor from its checkpoint.

    :raises LinksimError: no matching checkpoint (a worker on a machine that does not share the folder).
    """
    about = _about(scenario, reference)
    folder = _folder(scenario, about)
    block = registry.create("predictor", *block_of(reference))
    block.prepare(problem_shape(scenario))
    try:
        state = safetensors.torch.load_file(folder / "weights.safetensors")
    except FileNotFoundError:
        raise LinksimError(f"{folder}: no checkpoint here; run `linksim train` where this folder is shared") from None
    block.load_state_dict(state)
    return block.to(device).eval()


def _fit(scenario: Scenario, reference: str | dict[str, Any], device: str) -> tuple[TrainedPredictor, float]:
    block = registry.create("predictor", *block_of(reference))
    block.prepare(problem_shape(scenario))
    if not isinstance(block, ClosedFormPredictor):
        raise LinksimError(f"predictor {block.block_name!r} does not say how it is trained")
    for batch, validation in training_batches(scenario, device):
        block.observe(batch, validation)
    return block, block.solve()


def _estimate_s(scenario: Scenario) -> float:
    """Rough time to draw the training drops: 5 ms for each 32 antennas x 20 times x 48 tones of a user."""
    channel = scenario.channel
    samples = channel.bs_array.num_antennas * channel.num_subcarriers * (channel.num_history + channel.num_future)
    return 1 + num_chunks(scenario) * CHUNK * samples / 30_000 * 0.01


def _about(scenario: Scenario, reference: str | dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint depends on."""
    name, options = block_of(reference)
    spec = registry.find("predictor", name)
    block = registry.create("predictor", name, options)
    return {
        "block": name,
        "version": block.version,
        "options": registry.validate_options(spec, options),
        "shape": vars(problem_shape(scenario)),
        "conditions": [[channel.model_dump(mode="json", exclude=NOT_DRAWN | later_fields(channel)),
                        acquisition.model_dump(mode="json")]
                       for channel, acquisition in training_conditions(scenario)],
        "num_drops": scenario.training.num_drops,
        "seed": scenario.training.seed,
        **_training_source(scenario),
    }


def _training_source(scenario: Scenario) -> dict[str, Any]:
    """Where training drops come from, if not from the model."""
    files = scenario.channel.files
    if files.training_path:
        return {"training_file": files.training_sha256}
    if files.generator is not None:
        plugins = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in scenario.plugins]
        return {"generator": files.generator, "plugins": plugins}
    return {}


def _folder(scenario: Scenario, about: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
    return Path(scenario.training.folder) / f"{about['block']}-{digest}"


def _save(folder: Path, block: TrainedPredictor, about: dict[str, Any]) -> None:
    temporary = folder / "weights.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        safetensors.torch.save_file(
            {name: tensor.contiguous() for name, tensor in block.state_dict().items()}, temporary)
        os.replace(temporary, folder / "weights.safetensors")
    except (OSError, safetensors.SafetensorError) as error:
        raise StoreError(f"{folder}: cannot keep the checkpoint: {error}; set training.folder") from None
