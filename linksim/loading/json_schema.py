"""JSON Schema of scenario files, with the names of all blocks, so that editors complete and check them."""

from __future__ import annotations

from typing import Any

from linksim.core.registry import catalogue
from linksim.metrics.catalogue import metric_names
from linksim.scenario.channel import SOURCE_SECTIONS, Channel
from linksim.scenario.resolved import LEARNING, NO_PREDICTOR
from linksim.scenario.schema import PERFECT_CSI, Scenario

_CHECKPOINT = {"type": "string", "description": "Folder of a checkpoint to use, relative to the scenario file; without "
               "it the one that matches the scenario is found or trained."}


def scenario_json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12). Methods may be names; blocks are listed with their options."""
    schema = Scenario.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "linksim scenario"
    method, kinds = schema["$defs"]["Method"]["properties"], [*LEARNING, "bound", "retrieval_data"]
    for kind in kinds:
        schema["$defs"][f"{kind}_block"] = {"anyOf": [
            {"enum": [spec.name for spec in catalogue(kind)] + [NO_PREDICTOR] * (kind == "predictor")},
            *({"type": "object", "description": spec.summary, "required": ["type"],
               "properties": {"type": {"const": spec.name},
                              **spec.options.model_json_schema().get("properties", {}),
                              **({"checkpoint": _CHECKPOINT} if spec.trains else {})},
               "additionalProperties": False} for spec in catalogue(kind)),
        ]}
        if kind in method:
            method[kind] = _named(method[kind], kind, may_be_none=kind != "predictor")
    for section, key, kind in (("Link", "precoder", "precoder"), ("Semantic", "data", "retrieval_data")):
        fields = schema["$defs"][section]["properties"]
        fields[key] = _named(fields[key], kind)
    for training in ("Training", "MethodTraining"):
        schema["$defs"][training]["properties"]["channel"]["propertyNames"] = {"enum": list(Channel.model_fields)}
    channel = schema["$defs"]["Channel"]["properties"]  # with the short form of a scene
    sources = [*SOURCE_SECTIONS, "ray_tracing", *(spec.name for spec in catalogue("channel_source"))]
    channel["source"]["anyOf"] = [{"enum": sources}, *(
        kind for kind in channel["source"]["anyOf"] if kind["type"] == "object")]
    channel["scene"] = schema["$defs"]["RayTraced"]["properties"]["scene"]
    schema["properties"]["methods"]["items"] = {"anyOf": [
        {"enum": [PERFECT_CSI, *(spec.name for spec in catalogue("predictor"))]}, {"$ref": "#/$defs/Method"},
    ]}
    schema["properties"]["metrics"]["items"] = {"anyOf": [
        {"enum": metric_names()}, {"type": "string", "pattern": r"^nmse_step_\d+_db$"},
    ]}
    schema["properties"]["bounds"]["items"] = {"$ref": "#/$defs/bound_block"}
    schema["properties"]["sweep"]["additionalProperties"]["minItems"] = 1
    return schema


def _named(field: dict[str, Any], kind: str, may_be_none: bool = False) -> dict[str, Any]:
    """The schema of a field that names a block."""
    reference = {"$ref": f"#/$defs/{kind}_block"}
    said = {key: value for key, value in field.items() if key in ("default", "description", "title")}
    return {**said, **({"anyOf": [reference, {"type": "null"}]} if may_be_none else reference)}
