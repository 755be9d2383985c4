"""How far reports are from the channel on average, which a predictor that starts from reports has to know."""

from __future__ import annotations

import json
from typing import Any

import torch
from rich.console import Console

from linksim.blocks.feedback.base import history_of
from linksim.blocks.parameters import matched
from linksim.blocks.prediction.learned import normalized_errors
from linksim.core.errors import LinksimError
from linksim.core.heartbeat import counted
from linksim.scenario.points import resolved_at, simulated_points
from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario
from linksim.scenario.schema import Scenario
from linksim.training.checkpoint import checkpoint_folder, found_checkpoint, making, read_weights, write_checkpoint
from linksim.training.codec_data import CodecDrops
from linksim.training.parts.feedback import CodecPart

_NUM_CHUNKS = 2
"""Chunks of validation drops that the error is measured on."""


def needs_error(method: ResolvedMethod) -> bool:
    """Whether a method predicts from reports: holding the last one needs no error."""
    return method.feedback is not None and not method.holds


def prepare_report_errors(scenario: Scenario, device: str, console: Console) -> None:
    """Measure what has not been, on validation drops and noiseless channels.

    :raises StoreError: the checkpoint folder cannot be written.
    """
    for part in counted("measuring how far reports are from the channel", _reports(scenario)):
        about = _about(part)
        if found_checkpoint(part.scenario, about) is not None:
            continue
        with making(checkpoint_folder(part.scenario, about), console) as missing:
            if missing:
                _measure(part, about, device)


def _measure(part: CodecPart, about: dict[str, Any], device: str) -> None:
    drops = CodecDrops(part.scenario.written, part.training, device, remembers=part.remembers)
    held_out = [chunk for chunk in drops.chunks if chunk.validation][:_NUM_CHUNKS]
    codec = part.in_use(part.load()) if part.block.learns else part.plain()
    errors = []
    with torch.inference_mode():
        for chunk in held_out:
            csi = drops.draw(chunk).future
            times = csi.h.shape[-2]
            told = history_of(codec.decode_history(codec.encode_history(csi), times)[0], csi.time_s)
            late = slice(times // 2, None)  # a memory has to be filled
            errors.append(normalized_errors(told.h[..., late, :], csi.h[..., late, :]).flatten())
    error = torch.cat(errors).double().mean().reshape(1).cpu()
    write_checkpoint(checkpoint_folder(part.scenario, about), {"error": error}, about)


def load_report_errors(scenario: Scenario) -> dict[str, float]:
    """Relative squared errors by the key of the codec's block.

    :raises LinksimError: one is missing (a worker on a machine that does not share the folder).
    """
    found = {}
    for part in _reports(scenario):
        about = _about(part)
        folder = found_checkpoint(part.scenario, about) or checkpoint_folder(part.scenario, about)
        try:
            state = matched({"error": torch.zeros(1, dtype=torch.float64)}, read_weights(folder), "a report's error")
        except LinksimError as error:
            raise LinksimError(f"{folder}: {error}; delete the folder and run again") from None
        found[part.block.key] = float(state["error"])
    return found


def _reports(scenario: Scenario) -> list[CodecPart]:
    """Every codec and budget that something is predicted from, at a sweep point that has it."""
    found: dict[str, CodecPart] = {}
    for point in (resolved_at(scenario, values) for values in simulated_points(scenario)):
        for method in filter(needs_error, point.simulated):
            if method.reporting.key not in found:
                found[method.reporting.key] = CodecPart(_fitted_at(scenario, point, method), method)
    return list(found.values())


def _fitted_at(scenario: Scenario, point: ResolvedScenario, method: ResolvedMethod) -> ResolvedScenario:
    """The sweep point with the channels that a codec which remembers was fitted to: all of the scenario's."""
    if not method.reporting.made_by.remembers:
        return point
    axes = {key: values for key, values in scenario.sweep.items() if key.startswith("channel.")}
    return point.with_sections(channel=scenario.channel, sweep=axes)


def _about(part: CodecPart) -> dict[str, Any]:
    codec = part.reference() if part.block.checkpoint else part.block.name
    about = {**part.about, "reports_of": codec, "options": part.block.options}
    return json.loads(json.dumps({**about, "block": "report_error", "version": 1}))
