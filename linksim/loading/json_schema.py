"""JSON Schema of scenario files, with the names of all blocks, so that editors complete and check them."""

from __future__ import annotations

from typing import Any

from linksim.core.registry import catalogue
from linksim.metrics.catalogue import METRICS
from linksim.scenario.channel import Channel
from linksim.scenario.schema import PERFECT_CSI, Scenario

_CHECKPOINT = {"type": "string", "description": "Folder of a checkpoint to use, relative to the scenario file; without "
               "it the one that matches the scenario is found or trained."}


def scenario_json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12). Methods may be names; blocks are listed with their options."""
    schema = Scenario.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "linksim scenario"
    for kind in ("predictor", "precoder", "feedback"):
        schema["$defs"][f"{kind}_block"] = {"anyOf": [
            {"enum": [spec.name for spec in catalogue(kind)]},
            *({"type": "object", "description": spec.summary, "required": ["type"],
               "properties": {"type": {"const": spec.name},
                              **spec.options.model_json_schema().get("properties", {}),
                              **({"checkpoint": _CHECKPOINT} if spec.trains else {})},
               "additionalProperties": False} for spec in catalogue(kind)),
        ]}
    reference = {"$ref": "#/$defs/precoder_block"}
    schema["$defs"]["Link"]["properties"]["precoder"] = {**reference, "default": "rzf"}
    method = schema["$defs"]["Method"]["properties"]
    method["precoder"] = {"anyOf": [reference, {"type": "null"}], "default": None}
    method["feedback"] = {"anyOf": [{"$ref": "#/$defs/feedback_block"}, {"type": "null"}], "default": None}
    method["predictor"] = {"$ref": "#/$defs/predictor_block", "default": "hold"}
    for training in ("Training", "MethodTraining"):
        schema["$defs"][training]["properties"]["channel"]["propertyNames"] = {"enum": list(Channel.model_fields)}
    channel = schema["$defs"]["Channel"]["properties"]  # with the short form of a scene
    channel["source"]["enum"] = [*channel["source"]["enum"], "ray_tracing"]
    channel["scene"] = schema["$defs"]["RayTraced"]["properties"]["scene"]
    schema["properties"]["methods"]["items"] = {"anyOf": [
        {"enum": [PERFECT_CSI, *(spec.name for spec in catalogue("predictor"))]}, {"$ref": "#/$defs/Method"},
    ]}
    schema["properties"]["metrics"]["items"] = {"anyOf": [
        {"enum": list(METRICS)}, {"type": "string", "pattern": r"^nmse_step_\d+_db$"},
    ]}
    schema["properties"]["sweep"]["additionalProperties"]["minItems"] = 1
    return schema
