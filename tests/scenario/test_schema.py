"""The JSON Schema says what the loader says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

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
])
def test_a_broken_scenario_does_not_fit_the_schema(validator, tiny, changes):
    validator.validate(tiny())
    assert not validator.is_valid(tiny(changes))
