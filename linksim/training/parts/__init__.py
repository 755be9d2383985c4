"""The kinds of blocks that learn, by name: a further kind is one more file here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from linksim.scenario.resolved import read_learning_block, resolve
from linksim.scenario.schema import Scenario
from linksim.training.part import Part
from linksim.training.parts.feedback import CodecPart
from linksim.training.parts.precoder import PrecoderPart
from linksim.training.parts.predictor import PredictorPart
from linksim.training.parts.semantic import SemanticPart
from linksim.training.parts.universal import UniversalPart

KINDS: dict[str, type[Part]] = {part.kind: part for part in (
    PredictorPart, CodecPart, SemanticPart, UniversalPart, PrecoderPart)}


def request_of(part: Part) -> dict[str, Any]:
    """A part as JSON can hold it, for another process; `part_from` reads it."""
    index = [method.name for method in part.scenario.methods].index(part.of)
    return {"scenario": part.scenario.written.model_dump(mode="json"), "kind": part.kind, "method": index,
            "name": part.method.name, "block": {"type": part.block.name, **part.block.options}}


def part_from(request: dict[str, Any]) -> Part:
    """The part of a `request_of`."""
    scenario = resolve(Scenario.model_validate(request["scenario"]))
    method = replace(scenario.methods[request["method"]], name=request["name"])
    own = getattr(method, request["kind"])
    block = read_learning_block("block", request["kind"], request["block"], own.training)
    return KINDS[request["kind"]](scenario, method, replace(block, given=own.given))
