"""Ready-made scenarios by their names, from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import linksim
from linksim.core.shipped import RELEASED, SCENARIOS, located, shipped_scenarios


@pytest.mark.parametrize("name", ["fdd_uma_30kmh", "fdd_uma_30kmh.yaml", "scenarios/fdd_uma_30kmh.yaml"])
def test_a_ready_made_scenario_is_found_by_its_name_in_an_empty_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert located(Path(name)) == SCENARIOS / "fdd_uma_30kmh.yaml"
    assert linksim.load_scenario(name).name == "fdd_uma_30kmh"


def test_one_in_a_folder_is_found_with_and_without_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert located(Path("prediction/limit")) == located(Path("limit")) == SCENARIOS / "prediction" / "limit.yaml"


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("fdd_uma_30kmh").write_text("methods: [hold]\n", encoding="utf-8")
    assert located(Path("fdd_uma_30kmh")) == Path("fdd_uma_30kmh")


def test_what_is_not_there_is_named_with_the_nearest(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = command("validate", "fdd_uma_30kmhh")
    assert outcome.code == 2
    assert "did you mean fdd_uma_30kmh?" in outcome.line


def test_checkpoints_come_along():
    assert any(RELEASED.glob("*/weights.safetensors"))
    assert "fdd_uma_30kmh" in shipped_scenarios()
