"""Fitted codecs: fitted once for every budget, kept, loaded, and the same afterwards."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console

from linksim import load_scenario
from linksim.core.errors import LinksimError
from linksim.training.preparation import parts_of, prepare_parts

METHODS = [{"name": "few", "feedback": {"type": "klt", "bits": 60}}, {"name": "many", "feedback": "klt"},
           {"name": "other", "feedback": "top_m"}, "hold"]


@pytest.fixture
def scenario(scenario_file, tmp_path):
    return load_scenario(scenario_file({
        "methods": METHODS, "bounds": [], "feedback.bits": 90, "training.num_drops": 200,
        "training.folder": str(tmp_path / "kept"),
    }))


def test_one_fit_serves_every_budget_and_is_found_again(scenario, part):
    assert [part.name for part in parts_of(scenario)] == ["codec of few"]
    console = Console(quiet=True)
    assert "fitted in" in prepare_parts(scenario, "cpu", console)[0]
    assert "loaded from" in prepare_parts(scenario, "cpu", console)[0]
    parts = [part(scenario, method, "feedback") for method in (0, 1)]
    few, many = (part.in_use(part.load()) for part in parts)
    assert (few.bits, many.bits) == (60, 90)
    assert torch.equal(few.deviation, many.deviation)
    assert parts[0].about == parts[1].about
    assert parts[0].key == parts[1].key


def test_a_missing_checkpoint_is_one_line(scenario, part):
    with pytest.raises(LinksimError, match="no checkpoint here"):
        part(scenario, 0, "feedback").load()
