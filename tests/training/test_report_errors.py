"""What predictors are told of the error of reports."""

from __future__ import annotations

import pytest

from linksim import load_scenario
from linksim.errors import LinksimError
from linksim.link.feedback import report_key
from linksim.training.report_errors import load_report_errors, prepare_report_errors


def test_more_bits_have_less_error_and_holding_needs_none(scenario_file, tmp_path):
    scenario = load_scenario(scenario_file({
        "methods": [{"name": f"{bits}", "predictor": "wiener", "feedback": {"type": "top_m", "bits": bits}}
                    for bits in (60, 200)] + [{"name": "held", "feedback": {"type": "top_m", "bits": 90}}],
        "bounds": [], "channel.duplex": "tdd", "training.num_drops": 250, "training.folder": str(tmp_path / "kept"),
    }))
    with pytest.raises(LinksimError, match="no checkpoint here"):
        load_report_errors(scenario)
    prepare_report_errors(scenario, "cpu")
    errors = load_report_errors(scenario)
    few, many, held = (report_key(scenario, method) for method in scenario.methods)
    assert 0 < errors[many] < errors[few] < 1
    assert held not in errors
