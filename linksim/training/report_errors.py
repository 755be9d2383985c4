"""How far reports are from the channel on average, which a predictor that starts from reports has to know."""

from __future__ import annotations

import json
from typing import Any

import torch
from rich.console import Console

from linksim import registry
from linksim.blocks.feedback.base import FeedbackCodec, history_of
from linksim.blocks.prediction.trained import normalized_errors
from linksim.blocks.state import matched
from linksim.errors import LinksimError
from linksim.heartbeat import counted
from linksim.link.feedback import report_key
from linksim.scenario.points import point_scenario, simulated_points
from linksim.scenario.schema import Method, Scenario, block_of, codec_of, simulated_methods
from linksim.training.checkpoint import checkpoint_folder, found_checkpoint, read_weights, write_checkpoint
from linksim.training.codec_data import CodecDrops, codec_remembers, codec_training
from linksim.training.codecs import codec_identity, load_codec
from linksim.training.folder import making

_NUM_CHUNKS = 2
"""Chunks of validation drops that the error is measured on."""


def needs_error(method: Method) -> bool:
    """Whether a method predicts from reports: holding the last one needs no error."""
    return method.feedback is not None and block_of(method.predictor)[0] not in ("hold", "none")


def prepare_report_errors(scenario: Scenario, device: str, console: Console) -> None:
    """Measure what has not been, on validation drops and noiseless channels.

    :raises StoreError: the checkpoint folder cannot be written.
    """
    for point, method in counted("measuring how far reports are from the channel", _reports(scenario)):
        about = _about(point, method)
        if found_checkpoint(point, about) is not None:
            continue
        with making(checkpoint_folder(point, about), console) as missing:
            if missing:
                _measure(point, method, about, device)


def _measure(point: Scenario, method: Method, about: dict[str, Any], device: str) -> None:
    drops = CodecDrops(point, codec_training(point, method), device, remembers=codec_remembers(point, method))
    held_out = [chunk for chunk in drops.chunks if chunk.validation][:_NUM_CHUNKS]
    codec = _codec(point, method)
    errors = []
    with torch.inference_mode():
        for chunk in held_out:
            csi = drops.draw(chunk).future
            times = csi.h.shape[-2]
            told = history_of(codec.decode_history(codec.encode_history(csi), times)[0], csi.time_s)
            late = slice(times // 2, None)  # a memory has to be filled
            errors.append(normalized_errors(told.h[..., late, :], csi.h[..., late, :]).flatten())
    error = torch.cat(errors).double().mean().reshape(1).cpu()
    write_checkpoint(checkpoint_folder(point, about), {"error": error}, about)


def load_report_errors(scenario: Scenario) -> dict[str, float]:
    """Relative squared errors by `report_key`.

    :raises LinksimError: one is missing (a worker on a machine that does not share the folder).
    """
    found = {}
    for point, method in _reports(scenario):
        about = _about(point, method)
        folder = found_checkpoint(point, about) or checkpoint_folder(point, about)
        try:
            state = matched({"error": torch.zeros(1, dtype=torch.float64)}, read_weights(folder), "a report's error")
        except LinksimError as error:
            raise LinksimError(f"{folder}: {error}; delete the folder and run again") from None
        found[report_key(point, method)] = float(state["error"])
    return found


def _reports(scenario: Scenario) -> list[tuple[Scenario, Method]]:
    """Every codec and budget that something is predicted from, with a sweep point that has it."""
    found: dict[str, tuple[Scenario, Method]] = {}
    if not any(needs_error(method) for method in simulated_methods(scenario)):
        return []
    for point in (point_scenario(scenario, values) for values in simulated_points(scenario)):
        for method in filter(needs_error, simulated_methods(point)):
            found.setdefault(report_key(point, method), (_fitted_at(scenario, point, method), method))
    return list(found.values())


def _fitted_at(scenario: Scenario, point: Scenario, method: Method) -> Scenario:
    """The sweep point with the channels that a codec which remembers was fitted to: all of the scenario's."""
    if not codec_remembers(scenario, method):
        return point
    axes = {key: values for key, values in scenario.sweep.items() if key.startswith("channel.")}
    return point.model_copy(update={"channel": scenario.channel, "sweep": axes})


def _about(scenario: Scenario, method: Method) -> dict[str, Any]:
    name, options = codec_of(scenario, method)
    about = codec_identity(scenario, method)
    about = {**about, "reports_of": name, "options": options}
    return json.loads(json.dumps({**about, "block": "report_error", "version": 1}))


def _codec(scenario: Scenario, method: Method) -> FeedbackCodec:
    name, options = codec_of(scenario, method)
    return load_codec(scenario, method) if registry.find("feedback", name).trains \
        else registry.create("feedback", name, options).eval()
