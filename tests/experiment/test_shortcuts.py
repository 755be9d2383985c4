"""What `--quick` and `--trained-only` leave out is named, and what is left is what a whole run would show."""

from __future__ import annotations

import json

import pytest

from linksim.core.errors import ScenarioError
from linksim.experiment.plan import make_plan
from linksim.experiment.shortcuts import QUICK_DROPS, quick_look, trained_only
from linksim.loading.load import load_scenario, scenario_from_dict
from linksim.scenario.identity import scenario_hash
from linksim.training import preparation
from linksim.training.preparation import parts_of

LEARNED = {"name": "GRU", "predictor": {"type": "gru", "hidden_size": 4, "num_layers": 1}}
METHODS = ["perfect CSI", "hold", "ridge", LEARNED]
SWEEP = {"channel.speed_kmh": [3, 10, 20, 30, 40, 60], "link.snr_db": [0, 10, 20]}


@pytest.fixture
def scenario(tiny, tmp_path):
    """Something to fit, something to train, two axes, and no checkpoint anywhere."""
    changes = {"methods": METHODS, "bounds": [], "sweep": SWEEP, "training": {"folder": str(tmp_path / "none")}}
    return scenario_from_dict(tiny(changes))


def test_a_quick_look_has_few_drops_at_ends_and_middles_and_trains_nothing(scenario):
    short = quick_look(scenario)
    plan = make_plan(short)
    assert [axis.values for axis in plan.axes] == [(3, 30, 60), (0, 10, 20)]
    assert len(plan.points) == 9
    assert plan.max_drops == QUICK_DROPS
    assert short.run.left_out == ["ridge", "GRU"]
    assert plan.method_names == ["perfect CSI", "hold"]
    assert parts_of(short) == []
    assert [len(notes) for notes in (plan.shortcuts(), make_plan(scenario).shortcuts())] == [2, 0]


def test_what_would_be_trained_does_not_depend_on_what_is_left_out(scenario, part):
    short = quick_look(scenario)
    assert part(short, "GRU").about == part(scenario, "GRU").about
    hashes = {scenario_hash(one) for one in (scenario, short)}
    assert len(hashes) == 2


def test_without_shortcuts_the_hash_is_as_ever(scenario):
    same = scenario.model_copy(update={"run": scenario.run.model_copy(update={"quick": False, "left_out": []})})
    assert scenario_hash(same) == scenario_hash(scenario)
    assert "quick" in type(scenario.run).model_fields


def test_trained_only_names_what_it_leaves_out_with_its_time_and_fits_the_rest(scenario, monkeypatch):
    monkeypatch.setattr(preparation, "training_time", lambda part, device: f"40 min ({part.name})")
    said = []
    short = trained_only(scenario, "cpu", said.append)
    assert short.run.left_out == ["GRU"]
    assert make_plan(short).method_names == ["perfect CSI", "hold", "ridge"]
    assert [line.startswith("left out: GRU: about 40 min (GRU) of training") for line in said] == [True]
    assert [part.name for part in parts_of(short)] == ["ridge"]


def test_where_nothing_is_left_that_is_said(tiny, tmp_path):
    alone = scenario_from_dict(tiny({"methods": [LEARNED], "training": {"folder": str(tmp_path / "none")}}))
    with pytest.raises(ScenarioError, match="nothing is left to simulate: GRU"):
        quick_look(alone)


def test_a_name_that_is_left_out_is_one_of_the_methods(tiny):
    with pytest.raises(ScenarioError, match="left_out names 'hld'"):
        scenario_from_dict(tiny({"run.left_out": ["hld"]}))
    with pytest.raises(ScenarioError, match="leaves no method"):
        scenario_from_dict(tiny({"run.left_out": ["hold", "perfect CSI"]}))


def test_what_is_left_has_the_values_of_the_whole_run(tiny, tmp_path):
    from linksim.experiment.run import run

    methods = ["perfect CSI", "hold", {"name": "AR", "predictor": {"type": "ar", "order": 1}}]
    data = tiny({"methods": methods, "bounds": [], "sweep": {"link.snr_db": [0, 5, 10, 20]}})
    whole = run(scenario_from_dict(data), output=tmp_path / "whole", report=False).to_pandas()
    part = run(scenario_from_dict(data, {"run.left_out": ["hold"], "run.quick": True}), output=tmp_path / "part",
               report=False).to_pandas()
    expected = whole[(whole.method != "hold") & whole.snr_db.isin([0, 10, 20])].reset_index(drop=True)
    assert part.equals(expected)


def test_a_quick_run_has_a_folder_of_its_own_and_says_what_it_is(command, scenario_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = scenario_file({"methods": ["perfect CSI", "hold", LEARNED], "bounds": [],
                          "sweep": {"link.snr_db": [0, 5, 10, 20]}, "training": {"folder": str(tmp_path / "none")}})
    outcome = command("run", path, "--quick")
    assert outcome.code == 0, outcome.err
    assert "a quick look: 8 drops at the ends and the middle" in " ".join(outcome.out.split())
    manifest = json.loads((tmp_path / "results" / "small-quick" / "manifest.json").read_text())
    assert manifest["notes"][0].startswith("a quick look: 8 drops")
    assert "left out, not being trained here: GRU" in manifest["notes"]
    assert not (tmp_path / "none").exists()
    assert load_scenario(path).run.left_out == []


def test_a_quick_look_ends_in_time_and_goes_on_when_run_again(tiny, tmp_path, monkeypatch):
    from linksim.experiment import run as runs

    monkeypatch.setattr(runs, "QUICK_SECONDS", 0.0)
    scenario = quick_look(scenario_from_dict(tiny({"bounds": []})))
    units = QUICK_DROPS // scenario.run.chunk_size
    for done in range(1, units + 1):
        results = runs.run(scenario, output=tmp_path / "out", report=False)
        assert set(results.to_pandas().num_drops) == {done * scenario.run.chunk_size}
        cut = f"{done} of {units} work units were simulated" in " ".join(results.manifest["notes"])
        assert cut == (done < units)
