"""What predictors are told of the error of reports."""

from __future__ import annotations

import pytest
from rich.console import Console

from linksim import load_scenario
from linksim.core.errors import LinksimError
from linksim.scenario.resolved import resolve
from linksim.training.preparation import prepare_parts
from linksim.training.report_errors import load_report_errors, prepare_report_errors


def test_more_bits_have_less_error_and_holding_needs_none(scenario_file, tmp_path):
    scenario = load_scenario(scenario_file({
        "methods": [{"name": f"{bits}", "predictor": "wiener", "feedback": {"type": "top_m", "bits": bits}}
                    for bits in (60, 200)] + [{"name": "held", "feedback": {"type": "top_m", "bits": 90}}],
        "bounds": [], "channel.duplex": "tdd", "training.num_drops": 250, "training.folder": str(tmp_path / "kept"),
    }))
    with pytest.raises(LinksimError, match="no checkpoint here"):
        load_report_errors(scenario)
    prepare_report_errors(scenario, "cpu", Console(quiet=True))
    errors = load_report_errors(scenario)
    few, many, held = (method.feedback.key for method in resolve(scenario).methods)
    assert 0 < errors[many] < errors[few] < 1
    assert held not in errors


def test_a_codec_that_remembers_is_the_same_at_every_swept_channel(scenario_file, tmp_path):
    scenario = load_scenario(scenario_file({
        "methods": [{"name": "remembered", "predictor": "wiener", "feedback": {
            "type": "off_grid_memory", "num_table_drops": 2}}],
        "feedback": {"bits": 80}, "bounds": [], "channel.duplex": "tdd", "channel.num_history": 4,
        "sweep": {"channel.speed_kmh": [3, 30]},
        "training.num_drops": 250, "training.folder": str(tmp_path / "kept"),
    }))
    prepare_parts(scenario, "cpu", Console(quiet=True))
    errors = load_report_errors(scenario)
    assert len(errors) == 1
    assert 0 < min(errors.values()) < 1
