"""The number of drops that is asked for is the number that counts, whatever chunks and rounds are."""

from __future__ import annotations

import json

import pandas
import pytest

from linksim.experiment.plan import make_plan
from linksim.experiment.run import run
from linksim.loading.load import scenario_from_dict
from linksim.report.differences import differences
from linksim.report.load import load_run, read_measure

METRICS = ["nmse_db", "nmse_p95_db", "rate_bps_hz"]


@pytest.fixture
def simulated(tiny, tmp_path):
    """Runs the small scenario with a stopping rule in one folder; returns its metrics and manifest."""
    def go(folder="out", **stopping):
        scenario = scenario_from_dict(tiny({"run.stopping": {"adaptive": False, **stopping}, "run.chunk_size": 4,
                                            "metrics": METRICS}))
        results = run(scenario, output=tmp_path / folder, report=False)
        return results.to_pandas(), json.loads((tmp_path / folder / "manifest.json").read_text())
    return go


@pytest.mark.parametrize(("stopping", "max_drops", "units"), [
    ({"max_drops": 50}, 50, (2, 2)), ({"min_drops": 30, "max_drops": 130}, 130, (2, 6)),
    ({"min_drops": 7, "adaptive": False}, 7, (1, 1)), ({"min_drops": 100, "max_drops": 200}, 200, (4, 8)),
    ({"min_drops": 2000}, 2000, (80, 80)), ({}, 1000, (8, 40)),
])
def test_units_are_as_many_as_the_drops_need(stopping, max_drops, units, tiny):
    plan = make_plan(scenario_from_dict(tiny({"run": {"stopping": stopping, "chunk_size": 25, "units_per_round": 4}})))
    assert plan.max_drops == max_drops
    assert (plan.min_units(), plan.max_units()) == units


def test_so_many_drops_count_as_are_asked_for(simulated):
    table, manifest = simulated(min_drops=7, max_drops=7)
    assert set(table.num_drops) == {7}
    assert list(manifest["num_drops"].values()) == [7]


def test_the_first_drops_of_a_longer_run_are_those_of_a_shorter_one_resumed_or_not(simulated, tmp_path):
    simulated("a", min_drops=6, max_drops=6)
    short = read_measure(load_run(tmp_path / "a"), "nmse", {})["hold"]
    grown, _ = simulated("a", min_drops=11, max_drops=11)
    whole, _ = simulated("b", min_drops=11, max_drops=11)
    assert len(short) == 6
    pandas.testing.assert_frame_equal(grown, whole)
    for name in "ab":
        assert read_measure(load_run(tmp_path / name), "nmse", {})["hold"][:6] == pytest.approx(short, abs=0)


def test_a_run_that_wants_fewer_drops_than_are_there_shows_fewer(simulated, tmp_path):
    simulated("a", min_drops=12, max_drops=12)
    shrunk, _ = simulated("a", min_drops=5, max_drops=5)
    whole, _ = simulated("b", min_drops=5, max_drops=5)
    pandas.testing.assert_frame_equal(shrunk, whole)
    run_a, run_b = load_run(tmp_path / "a"), load_run(tmp_path / "b")
    for measure in ("nmse", "rate_bps_hz"):
        one, other = read_measure(run_a, measure, {}), read_measure(run_b, measure, {})
        assert one.keys() == other.keys()
        assert len(one["hold"]) == 5
        assert all((one[name] == other[name]).all() for name in one)
    assert {one.num_drops for one in differences(run_a, run_b, [], ("hold", "hold"))} == {5}
    assert {one.value for one in differences(run_a, run_b, [], ("hold", "hold"))} == {0}


@pytest.mark.slow
def test_a_run_of_500_units_holds_its_memory(simulate):
    import psutil

    from linksim.results.store import Store

    process, sizes = psutil.Process(), []
    write = Store.write_unit

    def measured(self, *arguments):
        sizes.append(process.memory_info().rss)
        return write(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "write_unit", measured)
        simulate("long", {"run.stopping.min_drops": 1100, "run.stopping.max_drops": 1100})
    assert len(sizes) >= 550
    assert max(sizes[-20:]) - max(sizes[30:50]) < 30 * 2**20
