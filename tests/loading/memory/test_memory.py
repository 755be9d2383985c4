"""Does it fit? Sizes that no machine has are refused with the field to shrink; what is shipped fits anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from linksim.core.errors import ScenarioError
from linksim.loading.load import load_scenario, scenario_from_dict
from linksim.loading.memory import check_workers, drops_at_once, estimate, machine_bytes
from linksim.scenario.points import resolved_at, sweep_points
from linksim.scenario.resolved import resolve

SCENARIOS = Path(__file__).parents[3] / "scenarios"
LARGE = 10**6

CHANNEL = {"model": "cdl_a", "num_subcarriers": 8, "num_history": 8, "num_future": 2}
SIZES = ["num_subcarriers", "num_history", "num_users", "ue_array.num_antennas", "bs_array.rows", "bs_array.columns"]


def scenario(channel=None, predictor="hold", **fields):
    return {"channel": {**CHANNEL, **(channel or {})}, "methods": [{"name": "m", "predictor": predictor}],
            "bounds": [], "metrics": ["nmse_db"], **fields}


def nested(key, value):
    section, _, field = key.rpartition(".")
    return {section: {field: value}} if section else {field: value}


@pytest.fixture(autouse=True)
def sixteen_gb(monkeypatch):
    monkeypatch.setenv("LINKSIM_MEMORY_GB", "16")


@pytest.mark.parametrize(("given", "field"), [
    (scenario({"num_subcarriers": 10**5}), "channel.num_subcarriers"),
    (scenario({"num_history": 10**5}), "channel.num_history"),
    (scenario({"bs_array": {"rows": 1024, "columns": 512}}), "channel.bs_array.rows"),
    (scenario({"bs_array": {"rows": 512, "columns": 1024}}), "channel.bs_array.columns"),
    (scenario({"num_history": 20_000}, "wiener"), "channel.num_history"),
    (scenario({"num_subcarriers": 4096, "duplex": "fdd_adjacent"}, "wiener"), "channel.num_subcarriers"),
    (scenario({"num_subcarriers": 10**5}, "csi_alm"), "channel.num_subcarriers"),
    (scenario({"source": "ray_traced", "model": "uma", "ray_traced": {"radius_m": 1e5}}),
     "channel.ray_traced.radius_m"),
    (scenario({"source": "ray_traced", "model": "uma", "ray_traced": {"grid_spacing_m": 0.01}}),
     "channel.ray_traced.grid_spacing_m"),
    *((scenario(predictor={"type": name, option: value}), f"methods.0.predictor.{option}") for name, option, value in [
        ("gru", "hidden_size", LARGE), ("lstm", "num_layers", LARGE), ("cnn", "num_layers", 16),
        ("transformer", "width", 8 * LARGE), ("transformer", "feedforward_width", LARGE),
        ("csi_alm", "patch_size", LARGE), ("csi_alm", "lora_rank", LARGE), ("cdg", "patch_size", LARGE),
        ("llm4cp", "patch_size", LARGE), ("llm4cp", "num_channels", LARGE), ("csi_alm_light", "num_prompts", LARGE),
        ("ridge", "speed_order", LARGE), ("ridge", "num_snr_classes", 10**9),
        ("unfolded_sparse_bayesian", "num_steps", LARGE), ("unfolded_sparse_bayesian", "hidden_size", LARGE)]),
    (scenario(semantic={"data": {"type": "motions", "num_motions": 10**9}}, metrics=["map"],
              methods=[{"name": "m", "semantic": "sc_lmkb"}]), "semantic.data.num_motions"),
])
def test_what_cannot_fit_is_refused_with_its_number_and_the_field_to_shrink(given, field):
    with pytest.raises(ScenarioError, match=r"of memory are needed, .* LINKSIM_MEMORY_GB has 16 GB") as refused:
        scenario_from_dict(given)
    assert f": {field}: about " in str(refused.value)


def test_a_checkpoint_that_is_named_needs_no_memory_for_training():
    path, long = SCENARIOS / "prediction" / "elsewhere.yaml", {"sweep": {"channel.num_history": [64]}}
    load_scenario(path, long)
    with pytest.raises(ScenarioError, match="for training unfolded_sparse_bayesian"):
        load_scenario(path, long | {"methods": [{"name": "unfolded", "predictor": "unfolded_sparse_bayesian"}]})


def test_a_sweep_point_that_cannot_fit_is_named():
    with pytest.raises(ScenarioError, match=r"sweep.channel.num_subcarriers: about .* \(at channel.num_sub"):
        scenario_from_dict(scenario(sweep={"channel.num_subcarriers": [8, 10**5]}))


@pytest.mark.parametrize("key", SIZES)
def test_more_of_anything_never_takes_less(key):
    sizes = [estimate(resolve(scenario_from_dict(scenario(nested(key, value), "wiener", link={"precoder": "rzf"}))))[0]
             for value in (1 if key != "num_history" else 2, 4, 16)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("name", ["tdd_uma_speed", "pilots_uma", "link/throughput_uma_snr", "ray_traced/streets",
                                  "semantic/text_to_motion_snr", "universal/five_tasks"])
def test_shipped_scenarios_take_a_fraction_of_16_gb(name):
    loaded = load_scenario(SCENARIOS / f"{name}.yaml")
    for point in sweep_points(loaded):
        at_point = resolved_at(loaded, point)
        assert estimate(at_point)[0] < 8e9
        assert drops_at_once(at_point) == at_point.run.chunk_size  # numbers do not depend on the machine


def test_near_the_limit_fewer_drops_go_through_a_predictor_together(monkeypatch):
    long = resolve(scenario_from_dict(scenario({"num_history": 1500}, "wiener", run={"chunk_size": 20})))
    assert drops_at_once(long) == 20
    monkeypatch.setenv("LINKSIM_MEMORY_GB", "6")
    assert 1 <= drops_at_once(long) < 20
    scenario_from_dict(long.written.model_dump())


def test_more_workers_than_fit_are_refused_with_how_many_would():
    one = resolve(scenario_from_dict(scenario({"num_history": 1500}, "wiener", run={"chunk_size": 20})))
    check_workers([one], 1)
    with pytest.raises(ScenarioError, match=r"--workers 100: each takes about .* use at most [1-9]$"):
        check_workers([one], 100)


def test_another_machines_memory_is_told_in_gb(monkeypatch):
    assert machine_bytes("cpu") == (16e9, "LINKSIM_MEMORY_GB")
    monkeypatch.setenv("LINKSIM_MEMORY_GB", "much")
    with pytest.raises(ScenarioError, match="a number needed"):
        machine_bytes("cpu")
    monkeypatch.delenv("LINKSIM_MEMORY_GB")
    there, whose = machine_bytes("cpu")
    assert 1e8 < there < 1e14
    assert whose == "this machine"


MEASURED = """
import json, resource, sys
from linksim.loading.load import scenario_from_dict
from linksim.loading.memory import estimate
from linksim.scenario.resolved import resolve
from linksim.experiment.work_unit import UnitRunner
scenario = scenario_from_dict(json.loads(sys.argv[1]))
UnitRunner(scenario, "cpu").run(0, 0)
print(estimate(resolve(scenario))[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss in kilobytes is Linux's")
@pytest.mark.parametrize("given", [
    scenario({"num_subcarriers": 3276, "subcarrier_spacing_khz": 30, "num_history": 16}, metrics=["rate_bps_hz"]),
    scenario({"bs_array": {"rows": 16, "columns": 16}, "num_users": 2, "num_subcarriers": 24}, "wiener"),
    scenario({"num_history": 800, "num_subcarriers": 24}, "wiener"),
], ids=["wide band", "many antennas", "long history"])
def test_a_unit_takes_less_than_is_estimated_and_not_half_of_it(given):
    import json

    given["run"] = {"chunk_size": 10, "threads_per_worker": 1}
    found = subprocess.run([sys.executable, "-c", MEASURED, json.dumps(given)], capture_output=True, text=True,
                           check=True)
    estimated, measured = map(float, found.stdout.split())
    assert 0.4 * estimated < measured < estimated
