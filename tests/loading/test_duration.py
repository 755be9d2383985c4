"""Whether a unit's time is known beforehand, to its order."""

from __future__ import annotations

import re

import pytest

from linksim.core.errors import ScenarioError
from linksim.loading.duration import LONGEST_S, unit_seconds
from linksim.loading.load import load_scenario, scenario_from_dict
from linksim.scenario.points import resolved_at, simulated_points
from linksim.scenario.resolved import resolve

SMALL = {"channel": {"num_subcarriers": 12, "num_users": 1}, "methods": [{"name": "Bayes", "predictor":
         "sparse_bayesian"}], "bounds": ["genie_lmmse"], "run": {"chunk_size": 10}}


def seconds(**changes):
    return unit_seconds([resolve(scenario_from_dict(SMALL, changes))])[0]


def test_the_main_jobs_unit_is_known_within_its_order():
    scenario = load_scenario("fdd_uma_30kmh")
    points = [resolved_at(scenario, point) for point in simulated_points(scenario)]
    taken, most = unit_seconds(points)
    assert 10 < taken < 300  # 25 to 30 s on two idle cores
    assert most.what in ("csi_alm_ad", "csi_alm_ad_light")
    assert taken < 3 * unit_seconds(points[:1])[0]  # what eight SNRs share counts once


@pytest.mark.parametrize(("field", "factor", "least", "most"), [
    ("run.chunk_size", 4, 3.9, 4.1), ("channel.num_subcarriers", 2, 2, 9), ("channel.bs_array.rows", 4, 1.5, 5),
    ("methods.0.predictor", None, 2.5, 11),
])
def test_time_grows_with_what_there_is_to_do(field, factor, least, most):
    before = {"run.chunk_size": 10, "channel.num_subcarriers": 12, "channel.bs_array.rows": 4}
    value = {"type": "sparse_bayesian", "num_iterations": 60} if factor is None else before[field] * factor
    assert least < seconds(**{field: value}) / seconds() < most


@pytest.mark.parametrize(("changes", "field"), [
    ({"methods.0.predictor": {"type": "sparse_bayesian", "num_iterations": 10_000}, "channel.num_users": 16,
      "run.chunk_size": 200},
     "methods.0.predictor.num_iterations"),
    ({"channel.num_history": 100_000, "methods.0.predictor": "wiener", "bounds": [], "run.chunk_size": 1},
     "channel.num_history"),
])
def test_what_would_take_days_is_refused_with_its_field(changes, field, monkeypatch):
    monkeypatch.setenv("LINKSIM_MEMORY_GB", "1e9")
    with pytest.raises(ScenarioError) as caught:
        scenario_from_dict(SMALL, changes)
    assert re.search(rf"{re.escape(field)}: a work unit would take about \d+(\.\d)? (h|days) here, most of it for "
                    r"\w+, and a day is the most: use less", str(caught.value)), caught.value


def test_the_longest_unit_is_a_day():
    assert LONGEST_S == 24 * 3600
