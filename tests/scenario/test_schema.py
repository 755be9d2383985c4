"""The JSON Schema says what the loader says."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from linksim.core.errors import ScenarioError
from linksim.core.registry import catalogue
from linksim.loading.load import scenario_from_dict
from linksim.scenario.schema import Scenario, Section

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").rglob("*.yaml"))


@pytest.fixture
def validator(command):
    schema = json.loads(command("schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_shipped_scenario_fits_the_schema(validator):
    assert SCENARIOS
    for path in SCENARIOS:
        validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("changes", [
    {"chanel": {}}, {"channel.num_user": 1}, {"channel.speed_kmh": 1e6}, {"channel.model": "umaa"},
    {"methods": ["weiner"]}, {"methods": [{"name": "x", "predictor": {"type": "ar", "ordre": 1}}]},
    {"methods": [{"name": "x", "predictor": {"type": "ar", "order": 0}}]}, {"methods": None},
    {"sweep": {"link.snr_db": []}}, {"link.precoder": "rfz"}, {"metrics": ["nmse"]}, {"bounds": ["genie"]},
    {"methods": [{"name": "x", "universal": {"type": "nonsense"}}]}, {"methods": [{"name": "x", "csi": "perfcet"}]},
    {"methods": [{"name": "x", "semantic": "sc_lmkbb"}]}, {"methods": [{"name": "x", "precoder": "rfz"}]},
    {"methods": [{"name": "x", "feedback": {"type": "klt", "bit": 3}}]}, {"semantic.data": "emojis"},
])
def test_a_broken_scenario_does_not_fit_the_schema(validator, tiny, changes):
    validator.validate(tiny())
    assert not validator.is_valid(tiny(changes))


def _unbounded(node, at=""):
    """Numbers of a JSON Schema without a lower or an upper limit, by where they stand."""
    if isinstance(node, dict):
        if node.get("type") in ("number", "integer") and "enum" not in node and "const" not in node:
            limits = [{"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}]
            if not all(limit & node.keys() for limit in limits):
                yield at
        for key, value in node.items():
            yield from _unbounded(value, f"{at}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _unbounded(value, f"{at}/{index}")


def test_every_number_of_a_scenario_has_limits():
    # in a process of its own: other tests' plugins stay in this one
    schema = subprocess.run([sys.executable, "-m", "linksim", "schema"], capture_output=True, check=True).stdout
    assert list(_unbounded(json.loads(schema))) == []
    assert list(_unbounded({"a": {"type": "number", "minimum": 1}, "b": {"type": "integer", "enum": [1]}})) == ["/a"]


def test_every_option_of_a_block_has_limits():
    built_in = [spec for spec in catalogue() if spec.source.startswith("linksim.")]
    assert len(built_in) > 50
    assert [(spec.name, at) for spec in built_in for at in _unbounded(spec.options.model_json_schema())] == []


def _limits(model, at=()):
    """Path and upper limit of every number of a section, and of those within it."""
    for name, about in model.model_json_schema(ref_template="{model}")["properties"].items():
        for form in [about, *about.get("anyOf", [])]:
            if form.get("type") in ("number", "integer") and "enum" not in form:
                yield (*at, name), form["type"], form.get("maximum", form.get("exclusiveMaximum"))
        inner = model.model_fields[name].annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from _limits(inner, (*at, name))


@pytest.mark.parametrize(("path", "kind", "limit"), list(_limits(Scenario)), ids=lambda value: str(value))
def test_a_number_beyond_its_limit_is_refused_and_so_are_infinity_and_nan(path, kind, limit, tiny):
    beyond = [2 * limit + 1, 10**400, -10**400] + [math.inf, -math.inf, math.nan] * (kind == "number")
    for value in beyond:
        with pytest.raises(ScenarioError, match=r"\.".join(path)) as caught:
            scenario_from_dict(tiny({".".join(path): value}))
        assert "given" in str(caught.value)
        assert len(str(caught.value)) < 300
