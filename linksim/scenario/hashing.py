"""What makes two runs the same: a digest of all that decides a scenario's drops and what is done with them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from linksim.scenario.channel import INDOOR_HEIGHT, NOT_DRAWN, later_fields
from linksim.scenario.execution import later_run_fields
from linksim.scenario.resolved import LEARNING
from linksim.scenario.schema import (
    CHECKPOINT_WEIGHTS,
    Feedback,
    Scenario,
    later_link_fields,
    later_method_fields,
)
from linksim.scenario.semantic import Semantic
from linksim.scenario.training import NOT_LEARNED, later_training_fields


def scenario_hash(scenario: Scenario) -> str:
    """Identity of the drops a scenario produces: all but its texts, stopping rule and where checkpoints are kept.

    A plugin and a checkpoint that is named count by their content: an edited one makes another scenario, a moved one
    does not.
    """
    channel = scenario.channel
    left_out: dict[str, Any] = dict.fromkeys(later_fields(channel), True)
    if channel.source == "model":
        left_out |= dict.fromkeys(NOT_DRAWN, True)
    elif channel.source == "files":
        # digests count, not where files lie; what needs a speed that nobody knows is refused
        left_out["files"] = {"path", "training_path", "speed_known"}
    else:
        left_out["files"] = True
        if channel.ray_traced.scene_sha256:
            left_out["ray_traced"] = {"scene"}
    data = scenario.model_dump(mode="json", exclude={
        "description": True, "plugins": True,
        "training": NOT_LEARNED - {"preset"} | later_training_fields(scenario.training),
        "run": {"stopping", "units_per_round", "confidence", *later_run_fields(scenario.run)},
        "channel": left_out,
        "link": later_link_fields(scenario.link),
    })
    if channel.source == "model" and (channel.indoor_share or "channel.indoor_share" in scenario.sweep):
        data["channel"]["indoor_height"] = INDOOR_HEIGHT
    for section, default in (("feedback", Feedback()), ("semantic", Semantic())):
        if getattr(scenario, section) == default:
            del data[section]
    for method in data["methods"]:
        for key in later_method_fields(method):
            del method[key]
        training = {key: value for key, value in (method.pop("training") or {}).items() if value is not None}
        method |= {"training": training} if training else {}
        for kind in LEARNING:
            if isinstance(block := method.get(kind), dict) and block.get("checkpoint"):
                block["checkpoint"] = weights_digest(block["checkpoint"])
    plugins = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in scenario.plugins]
    return hashlib.sha256(json.dumps([data, plugins], sort_keys=True).encode()).hexdigest()


def weights_digest(folder: str) -> str:
    """Digest of the weights in a checkpoint's folder; the folder's name where there are none."""
    try:
        return hashlib.sha256((Path(folder) / CHECKPOINT_WEIGHTS).read_bytes()).hexdigest()
    except OSError:
        return folder
