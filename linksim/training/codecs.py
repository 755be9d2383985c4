"""Codecs that are fitted in closed form: their training drops, and their checkpoints beside the predictors'."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from rich.console import Console

from linksim import registry
from linksim.blocks.feedback.trained import ClosedFormCodec, FeedbackShape
from linksim.channel.streaming import prefetched
from linksim.csi import Csi, Panel
from linksim.errors import LinksimError
from linksim.scenario.schema import NOT_DRAWN, Method, Scenario, codec_of, later_fields
from linksim.training.checkpoint import RELEASED, write_checkpoint
from linksim.training.conditions import training_conditions
from linksim.training.data import TrainingDrops
from linksim.training.identity import digest

_WEIGHTS = "weights.safetensors"


def codec_key(scenario: Scenario, method: Method) -> str:
    """Codecs with the same key are the same fitted block; the budget is none of it."""
    name, options = codec_of(scenario, method)
    options.pop("bits", None)
    return repr((name, sorted(options.items())))


def methods_with_fitted_codecs(scenario: Scenario) -> list[Method]:
    """One method for each codec that is fitted before a run."""
    found: dict[str, Method] = {}
    for method in scenario.methods:
        if method.feedback is not None and registry.find("feedback", codec_of(scenario, method)[0]).trains:
            found.setdefault(codec_key(scenario, method), method)
    return list(found.values())


def codec_identity(scenario: Scenario, method: Method) -> dict[str, Any]:
    """What a codec's checkpoint depends on, as JSON can hold it: noiseless downlink CSI of the training drops."""
    name, options = codec_of(scenario, method)
    options.pop("bits", None)
    training = scenario.training
    channels = {channel.model_copy(update={"num_users": 1}) for channel, _ in training_conditions(scenario)}
    about = {
        "block": name, "version": registry.block_class("feedback", name).version, "options": options,
        "conditions": sorted((channel.model_dump(mode="json", exclude=NOT_DRAWN | later_fields(channel))
                              for channel in channels), key=repr),
        "num_drops": training.num_drops, "seed": training.seed, "fraction": training.fraction,
        "training_file": scenario.channel.files.training_sha256,
    }
    return json.loads(json.dumps(about))


def prepare_codecs(scenario: Scenario, device: str, console: Console) -> list[str]:
    """Fit what has no matching checkpoint, saying so first.

    :returns: a line for the header about each codec.
    :raises StoreError: the checkpoint folder cannot be written.
    """
    lines = []
    for method in methods_with_fitted_codecs(scenario):
        about = codec_identity(scenario, method)
        title = f"codec of {method.name}"
        if (folder := _found(scenario, about)) is not None:
            lines.append(f"{title}: loaded from {folder}")
            continue
        folder = _folder(scenario, about)
        drops = TrainingDrops(scenario, device=device)
        count = sum(chunk.num_drops for chunk in drops.chunks)
        console.print(f"fitting {about['block']} on {count} drops: no matching checkpoint in "
                      f"{scenario.training.folder}", highlight=False)
        began = time.monotonic()
        codec, score = _fitted(scenario, method, drops, device)
        write_checkpoint(folder, dict(codec.named_buffers()), {**about, "training_nmse": score})
        lines.append(f"{title}: fitted in {time.monotonic() - began:.0f} s, kept in {folder}")
    return lines


def load_codec(scenario: Scenario, method: Method) -> ClosedFormCodec:
    """A fitted codec from its checkpoint, on the CPU, in evaluation mode; its budget is the method's.

    :raises LinksimError: no matching checkpoint, or a damaged one.
    """
    about = codec_identity(scenario, method)
    folder = _found(scenario, about) or _folder(scenario, about)
    try:
        state = safetensors.torch.load_file(folder / _WEIGHTS)
    except FileNotFoundError:
        raise LinksimError(f"{folder}: no checkpoint here; run where this folder is shared") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise LinksimError(f"{folder / _WEIGHTS}: damaged ({error}); delete the folder and fit again") from None
    array = scenario.channel.bs_array
    panel = Panel(array.rows, array.columns, 2 if array.polarization == "dual" else 1)
    codec = registry.create("feedback", *codec_of(scenario, method))
    codec.prepare(FeedbackShape(scenario.channel.ue_array.num_antennas, panel, scenario.channel.num_subcarriers))
    if set(state) != {name for name, _ in codec.named_buffers()}:
        raise LinksimError(f"{folder}: does not fit {codec.block_name}: delete the folder and fit again")
    for name, tensor in state.items():
        setattr(codec, name, tensor)
    return codec.eval()


def _fitted(scenario: Scenario, method: Method, drops: TrainingDrops, device: str) -> tuple[ClosedFormCodec, float]:
    codec = registry.create("feedback", *codec_of(scenario, method))
    if not isinstance(codec, ClosedFormCodec):
        raise LinksimError(f"feedback {codec.block_name!r} does not say how it is fitted")
    with torch.inference_mode():
        for chunk, batch in zip(drops.chunks, prefetched(drops.draw, drops.chunks, device), strict=True):
            csi = _first_instant(batch.future)
            if codec.shape is None:
                codec.prepare(FeedbackShape.of(csi))
            codec.observe(csi, chunk.validation)
        return codec, codec.solve()


def _first_instant(csi: Csi) -> Csi:
    return csi.with_h(csi.h[..., :1, :], time_s=csi.time_s[:1])


def _found(scenario: Scenario, about: dict[str, Any]) -> Path | None:
    for folder in (_folder(scenario, about), RELEASED / _folder(scenario, about).name):
        if (folder / _WEIGHTS).is_file():
            return folder
    return None


def _folder(scenario: Scenario, about: dict[str, Any]) -> Path:
    return Path(scenario.training.folder) / f"{about['block']}-{digest(about)}"
