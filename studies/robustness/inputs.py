"""What is tried: every field of a scenario and every option of a block, with values at and beyond its edges.

Fields come from the JSON Schema that `linksim schema` prints and from the blocks' own options, so that a new field is
tried without a line here. Each input changes one field of a small base scenario in which that field matters; `mixtures`
change several at once.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linksim.core.registry import BlockSpec, catalogue
from linksim.loading.json_schema import scenario_json_schema

BASE: dict[str, Any] = {
    "channel": {"model": "umi", "num_users": 2, "num_subcarriers": 8, "num_history": 16, "num_future": 2,
                "bs_array": {"rows": 2, "columns": 2, "polarization": "dual"}},
    "methods": ["perfect CSI", "hold", {"name": "Wiener", "predictor": "wiener"}],
    "run": {"chunk_size": 2, "units_per_round": 1, "threads_per_worker": 1,
            "stopping": {"min_drops": 2, "max_drops": 2, "adaptive": False}},
    "training": {"num_drops": 250, "num_epochs": 1, "batch_drops": 50, "max_minutes": 0.1},
}
"""Small enough for a run in a second."""

_LEFT_OUT = object()
"""In what is merged into a scenario: the field is not in the file."""

_AREA = {"scene": "procedural", "positions_per_area": 300, "split": "random", "rays_launched": 1000, "max_depth": 1,
         "min_path_gain_db": -200, "guard_m": 0, "synchronized": False}
_TASKS = {"channel": {"model": _LEFT_OUT, "source": "ray_traced", "ray_traced": _AREA, "carrier_frequency_ghz": 3.5,
                      "num_users": 1, "num_history": 1, "num_future": 1, "num_subcarriers": 8, "speed_kmh": 0,
                      "bs_array": {"rows": 1, "columns": 4, "polarization": "single"}},
          "bounds": [], "methods": [{"name": "log distance", "universal": "log_distance"}],
          "metrics": ["path_loss_rmse_db"], "run": {"stopping": {"metric": "path_loss_rmse_db"}}}
_CODEC = {"channel": {"num_users": 1, "num_subcarriers": 16, "bs_array": {"rows": 2, "columns": 4}},
          "feedback": {"bits": 96}, "bounds": []}
_TOY_GALLERY = Path(__file__).parents[2] / "tests" / "training" / "toy_retrieval.py"
_WORDS = {"plugins": [str(_TOY_GALLERY)], "channel": {"num_users": 1, "ue_array": {"num_antennas": 4}},
          "link": {"num_streams_per_user": 4, "precoder": "svd"}, "bounds": [], "metrics": ["map"],
          "run": {"stopping": {"metric": "map"}}, "semantic": {"data": "toy"},
          "methods": [{"name": "caption", "semantic": "no_channel"}]}

_WHERE_IT_MATTERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("channel.ray_traced", {**_TASKS, "methods": ["hold"], "metrics": ["nmse_db"],
                            "run": {"stopping": {"metric": "nmse_db"}}}),
    ("channel.files", {"channel": {"model": _LEFT_OUT, "source": "files", "files": {"path": "drops.h5"}},
                       "bounds": []}),
    ("link.coding", {"link": {"mode": "abstraction"}, "channel": {"num_users": 1}}),
    ("acquisition", {"acquisition": {"type": "pilots"}}),
    ("feedback", {**_CODEC, "methods": [{"name": "reports", "feedback": {
        "type": "klt", "num_table_drops": 25}}]}),
    ("semantic", _WORDS),
    ("training", {"methods": ["hold", "ridge"]}),
)
"""Base scenarios of sections that do nothing in `BASE`, by the beginning of a field's path."""


@dataclass(frozen=True)
class Attempt:
    """One input: what it is called, and the scenario as a dictionary."""

    group: str
    field: str
    value: Any
    scenario: dict[str, Any]


def attempts(blocks: bool = True) -> Iterator[Attempt]:
    """Every field with every value that is tried alone."""
    schema = scenario_json_schema()
    for path, node in _leaves(schema, schema, ()):
        group = path[0] if len(path) > 1 else "top level"
        base = _base_of(path)
        for value in _values(node):
            yield Attempt(group, ".".join(path), value, _changed(base, path, value))
    if blocks:
        for spec in catalogue():
            yield from _attempts_of_block(spec)


def mixtures(number: int, seed: int, allowed: list[Attempt]) -> Iterator[Attempt]:
    """Several fields at once, each at a value that was accepted alone."""
    chosen = random.Random(seed)
    of_base = [attempt for attempt in allowed if attempt.scenario.get("methods") == BASE["methods"]]
    for _ in range(number):
        scenario = copy.deepcopy(BASE)
        picked = chosen.sample(of_base, k=min(chosen.randint(2, 4), len(of_base)))
        for attempt in picked:
            scenario = _changed(scenario, attempt.field.split("."), attempt.value)
        yield Attempt("mixtures", " + ".join(f"{a.field}={str(a.value)[:30]}" for a in picked), "", scenario)


def _attempts_of_block(spec: BlockSpec) -> Iterator[Attempt]:
    """Every option of a block, and the block as small as it can be."""
    small = _SMALL_OPTIONS.keys() & spec.options.model_fields.keys()
    options = {name: _SMALL_OPTIONS[name] for name in small}
    place = _scenario_with(spec, options)
    if place is None:
        return
    group = f"options: {spec.kind}"
    yield Attempt(group, spec.name, SMALL, place)
    schema = spec.options.model_json_schema()
    for name, node in schema.get("properties", {}).items():
        for value in _values(_resolved(schema, node)):
            yield Attempt(group, f"{spec.name}.{name}", value, _scenario_with(spec, {**options, name: value}))


SMALL = "as small as it can be"
"""What `Attempt.value` is where a block is tried as it is."""

_SMALL_OPTIONS = {"num_layers": 1, "weights": "random", "hidden_size": 8, "num_table_drops": 25, "delay_window": 8,
                  "num_values": 8, "encoders": "scratch"}


def _scenario_with(spec: BlockSpec, options: dict[str, Any]) -> dict[str, Any] | None:
    """A base scenario in which the block is used; None for kinds that need files of the user's."""
    block = {"type": spec.name, **options}
    match spec.kind:
        case "predictor":
            return _merged(BASE, {"methods": ["hold", {"name": "tried", "predictor": block}]})
        case "precoder":
            return _merged(BASE, {"link": {"precoder": block}})
        case "feedback":
            budget = {} if "bits" in spec.options.model_fields else {"feedback": {}}
            return _merged(BASE, {**_CODEC, **budget, "methods": [{"name": "tried", "feedback": block}]})
        case "semantic":
            return _merged(BASE, {**_WORDS, "methods": [{"name": "tried", "semantic": block}]})
        case "universal":
            metric = _METRIC_OF_TASK.get(spec.name, "position_error_m")
            others = [_TASKS["methods"][0]] if spec.name == "alignment" else []
            return _merged(BASE, {**_TASKS, "methods": [{"name": "tried", "universal": block}, *others],
                                  "metrics": [metric],
                                  "run": {"stopping": {"metric": metric}}})
    return None


_METRIC_OF_TASK = {"log_distance": "path_loss_rmse_db", "kriging": "path_loss_rmse_db", "k_factor": "los_accuracy",
                   "beam_map": "beam_top1", "pointing": "beam_top1", "true_channel": "beam_top1"}


def _base_of(path: tuple[str, ...]) -> dict[str, Any]:
    dotted = ".".join(path)
    return _merged(BASE, next((base for begin, base in _WHERE_IT_MATTERS if dotted.startswith(begin)), {}))


def _leaves(schema: dict[str, Any], node: dict[str, Any], path: tuple[str, ...]
            ) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    node = _resolved(schema, node)
    if "properties" in node and len(path) < 4:
        if path:
            yield path, {"type": "object"}  # the section itself, as something else
        for name, child in node["properties"].items():
            yield from _leaves(schema, child, (*path, name))
    elif path:
        yield path, node


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """A node without references; of several possible types the first that is no null."""
    while True:
        if "$ref" in node:
            named = schema["$defs"][node["$ref"].rpartition("/")[2]]
            node = {**named, **{key: value for key, value in node.items() if key != "$ref"}}
        elif "anyOf" in node:
            node = {**next(part for part in node["anyOf"] if part.get("type") != "null"), "null": True}
        else:
            return node


_OF_ANY_TYPE: tuple[Any, ...] = (None, True, "x", "", [], {}, [1], {"a": 1}, -1, 0, 1.5, math.nan, math.inf)
_TEXTS = ("[/b]", "\x1b[31mred", "a\nb", "../x", "=1+1", "信道", "NA", "$x_{", "x" * 5000, "\u202e", "a" + "\0")
_WHOLE_NUMBERS = (1, 2, 3, 5, 7, 12, 33, 64, 1000, 10**6, 10**12, 10**400, -(10**400))
_NUMBERS = (1e-300, 1e-9, 1e-3, 0.5, 1.0, 3, 30.0, 99.5, 1e3, 1e6, 1e12, 1e300, -1e-9, -30.0, -1e6, -1e300)


def _values(node: dict[str, Any]) -> list[Any]:
    """Values of the right type within, at and beyond the field's edges, and values of the wrong type."""
    values: list[Any] = list(_OF_ANY_TYPE)
    if "enum" in node:
        values += [*node["enum"], f"{node['enum'][0]}x"]
    kind = node.get("type")
    edges = [node[key] for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum") if key in node]
    if kind == "integer":
        values += [*_WHOLE_NUMBERS, *(edge + step for edge in edges for step in (-1, 0, 1))]
    elif kind == "number":
        values += [*_NUMBERS, *(near for edge in edges for near in
                                (edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf)))]
    elif kind == "string" and "enum" not in node:
        values += _TEXTS
    elif kind == "array":
        item = _resolved({}, node.get("items") or {"type": "number"}) if "$ref" not in node.get("items", {}) else {}
        values += [[value] for value in _values(item)[:20]] + [[1, 2], [2, 1], [1.0] * 3, list(range(1000))]
    elif kind == "object":
        values += [{"type": 1}, {"type": "nonsense"}, {"type": []}, {"x": {"y": {"z": 1}}}]
    seen, kept = set(), []
    for value in values:  # 1, 1.0 and True are three inputs
        if repr(value) not in seen:
            seen.add(repr(value))
            kept.append(value)
    return kept


def _changed(scenario: dict[str, Any], path: list[str] | tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(scenario)
    node = changed
    for part in path[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            return changed
    node[path[-1]] = value
    return changed


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        if value is _LEFT_OUT:
            merged.pop(key, None)
            continue
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else copy.deepcopy(value)
    return merged
