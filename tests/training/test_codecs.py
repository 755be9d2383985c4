"""Fitted codecs: fitted once for every budget, kept, loaded, and the same afterwards."""

from __future__ import annotations

import pytest
import torch
from linksim.training.codecs import codec_identity, load_codec, methods_with_fitted_codecs, prepare_codecs
from rich.console import Console

from linksim import load_scenario
from linksim.errors import LinksimError

METHODS = [{"name": "few", "feedback": {"type": "klt", "bits": 60}}, {"name": "many", "feedback": "klt"},
           {"name": "other", "feedback": "top_m"}, "hold"]


@pytest.fixture
def scenario(scenario_file, tmp_path):
    return load_scenario(scenario_file({
        "methods": METHODS, "bounds": [], "feedback.bits": 90, "training.num_drops": 200,
        "training.folder": str(tmp_path / "kept"),
    }))


def test_one_fit_serves_every_budget_and_is_found_again(scenario):
    assert [method.name for method in methods_with_fitted_codecs(scenario)] == ["few"]
    console = Console(quiet=True)
    assert "fitted in" in prepare_codecs(scenario, "cpu", console)[0]
    assert "loaded from" in prepare_codecs(scenario, "cpu", console)[0]
    few, many = (load_codec(scenario, method) for method in scenario.methods[:2])
    assert (few.bits, many.bits) == (60, 90)
    assert torch.equal(few.deviation, many.deviation)
    assert codec_identity(scenario, scenario.methods[0]) == codec_identity(scenario, scenario.methods[1])


def test_a_missing_checkpoint_is_one_line(scenario):
    with pytest.raises(LinksimError, match="no checkpoint here"):
        load_codec(scenario, scenario.methods[0])
