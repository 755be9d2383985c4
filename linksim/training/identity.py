"""What a checkpoint depends on: its name is made of this, and this tells two checkpoints apart."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from linksim.core import registry
from linksim.scenario.channel import Channel
from linksim.scenario.schema import Acquisition
from linksim.scenario.training import Training, merged

_KEYS = ("block", "kind", "version", "schema", "options", "shape", "conditions", "training", "training_file",
         "generator", "channel_source", "plugins", "teacher", "start_from", "data", "generated", "channel_uses",
         "num_streams", "reports_of")
"""What names a checkpoint; all else in its ``about.json`` is for people."""

_FIRST = {"block": str, "kind": str, "version": int, "options": dict}
"""What every identity has, and its kinds."""

_DEEPEST = 20
_LONGEST_TEXT = 200


def digest(about: dict[str, Any]) -> str:
    """The name of an identity."""
    named = {key: about[key] for key in _KEYS if key in about}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]


def malformed(about: Any) -> str | None:
    """Why something read from a file cannot be an identity; None where it can."""
    if not isinstance(about, dict):
        return "no mapping"
    if missing := [key for key in _FIRST if key not in about]:
        return f"no {missing[0]!r}"
    wrong = [key for key, kind in _FIRST.items() if not isinstance(about[key], kind) or isinstance(about[key], bool)]
    if wrong:
        return f"{wrong[0]!r} is {_text(about[wrong[0]])}"
    shape, conditions = about.get("shape", {}), about.get("conditions", [])
    if not isinstance(shape, dict) or not isinstance(conditions, list):
        return f"'shape' is {_text(shape)}, 'conditions' are {_text(conditions)}"
    cycles = shape.get("max_doppler_cycles", 0)
    if not isinstance(cycles, float | int) or isinstance(cycles, bool) or not 0 <= cycles < math.inf:
        return f"'shape.max_doppler_cycles' is {_text(cycles)}"
    for condition in conditions:  # a channel, with its acquisition where that matters
        pair = condition if isinstance(condition, list) else [condition, {}]
        if [type(part) for part in pair] != [dict, dict]:
            return f"'conditions' hold {_text(condition)}"
    if _depth(about) > _DEEPEST:
        return "nested too deep"
    return None


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, parts), default=0)


def contradictions(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Why a checkpoint cannot be used for a scenario's method: another block, other options or sizes."""
    may_differ = {"shape.max_doppler_cycles"} & _described(there).keys()  # but has to be said
    return [text for key, text in _differences(there, here).items()
            if key.partition(".")[0] in ("block", "version", "options", "shape") and key not in may_differ]


def differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """What a checkpoint was trained on otherwise than a scenario says."""
    return [text for key, text in _differences(there, here).items() if key != "shape.max_doppler_cycles"]


def _differences(there: dict[str, Any], here: dict[str, Any]) -> dict[str, str]:
    before, now = _described(there), _described(here)
    return {key: f"{_short(key)} {_text(before.get(key))} there, {_text(now.get(key))} here"
            for key in dict.fromkeys([*now, *before]) if before.get(key) != now.get(key)}


def _described(about: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted path, defaults too; those of the conditions as the set of values that they have."""
    known = [spec for spec in registry.catalogue() if (spec.kind, spec.name) == (about["kind"], about["block"])]
    usual: dict[str, Any] = {
        "options": {name: field.default for spec in known for name, field in spec.options.model_fields.items()},
        "training": merged(Training(), None).model_dump(mode="json")}
    channel_usual, acquisition_usual = (section().model_dump(mode="json") for section in (Channel, Acquisition))
    flat: dict[str, Any] = {}
    for key in _KEYS:
        value = about.get(key)
        if key in usual and isinstance(value, dict):
            value = usual[key] | value
        if key == "conditions":
            for channel, acquisition in (one if isinstance(one, list) else (one, {}) for one in value or []):
                whole = {"channel": _deeper(channel_usual, channel), "acquisition": acquisition_usual | acquisition}
                for at, item in _flat(whole).items():
                    flat.setdefault(at, [])
                    if item not in flat[at]:
                        flat[at].append(item)
        elif value is not None:
            flat |= _flat({key: value})
    return flat


def _deeper(usual: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    return usual | {key: _deeper(usual[key], value) if isinstance(value, dict) and isinstance(usual.get(key), dict)
                    else value for key, value in chosen.items()}


def _flat(section: dict[str, Any], at: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        found |= _flat(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
    return found


def _text(value: Any) -> str:
    if value is None:
        return "not said"
    return _short(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
