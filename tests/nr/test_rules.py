"""Transport blocks that cannot be: one line with key and fix, before anything runs."""

from __future__ import annotations

import copy

import pytest

from linksim.core.errors import ScenarioError
from linksim.loading.checks import check
from linksim.scenario.identity import scenario_hash
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Scenario

GOOD = {"methods": ["hold"], "bounds": [], "metrics": ["bler"], "link": {"mode": "abstraction"}}


def scenario_of(link: dict | None = None, **changes) -> Scenario:
    data = copy.deepcopy({**GOOD, **changes})
    data["link"] = {**data["link"], **(link or {})}
    scenario = Scenario.model_validate(data)
    check(resolve(scenario))
    return scenario


def test_what_is_right_passes():
    scenario_of()
    scenario_of({"mode": "coded", "coding": {"transmissions": 4}})
    scenario_of(channel={"csi_period_ms": 5.0, "samples_per_period": 4, "processing_delay_ms": 1.0})


@pytest.mark.parametrize(("link", "changes", "message"), [
    ({"coding": {"mcs": 1}}, {}, r"link.coding.mcs: the code rate of MCS 1 is 0.15.*below 1/5: use at least 3"),
    ({"coding": {"mcs": 40}}, {}, r"link.coding.mcs: table 1 has MCS 0 to 28 \(given 40\)"),
    ({"coding": {"mcs": 20, "scs_khz": 60}}, {"channel": {"num_subcarriers": 1, "subcarrier_spacing_khz": 60.0}},
     "does not fit a slot"),
    ({"coding": {"mcs_table": 3}}, {}, r"link.coding.mcs_table: there are EESM parameters for tables 1 and 2 alone"),
    ({"coding": {"transmissions": 2}}, {}, r"link.coding.transmissions: .* single transmissions: write 1, or"),
    ({"mode": "coded", "coding": {"transmissions": 4}}, {"channel": {"num_future": 3}},
     "link.coding.transmissions: 4 slots in a row are needed, but channel.num_future is 3"),
    ({}, {"channel": {"csi_period_ms": 5.0, "samples_per_period": 8, "num_future": 4}},
     "channel.num_future: 4 instants end before the report period of 5 ms does"),
    ({}, {"channel": {"subcarrier_spacing_khz": 100.0}}, "link.coding.scs_khz: a tone of 100 kHz"),
    ({}, {"channel": {"csi_period_ms": 0.25}}, "slots of 0.5 ms would overlap"),
    ({}, {"channel": {"csi_period_ms": 5.0, "samples_per_period": 4}, "methods": ["ar"]},
     "methods.0.predictor: ar predicts whole CSI periods"),
    ({"mode": "rate"}, {}, r"metrics: bler is of transport blocks: write link.mode: abstraction or coded"),
    ({"mode": "rate", "coding": {"mcs": 5}}, {"metrics": ["nmse_db"]}, "link.coding: nothing is coded"),
    ({"mode": "rate"}, {"metrics": ["nmse_db"], "run": {"stopping": {"block_errors": 5}}}, "there are no blocks"),
    ({}, {"run": {"stopping": {"metric": "nmse_db", "block_errors": 5}}}, "run.stopping.block_errors: what is watched"),
])
def test_what_cannot_be_is_refused_in_one_line(link, changes, message):
    with pytest.raises(ScenarioError, match=message) as caught:
        scenario_of(link, **changes)
    assert "\n" not in str(caught.value)


def test_a_scenario_of_rates_has_the_hash_it_always_had():
    plain = Scenario.model_validate({"methods": ["hold"]})
    written = Scenario.model_validate({"methods": ["hold"], "link": {"mode": "rate"}, "channel": {
        "samples_per_period": 1, "processing_delay_ms": 0.0}})
    assert scenario_hash(plain) == scenario_hash(written)
    coded = Scenario.model_validate({"methods": ["hold"], "link": {"mode": "coded"}})
    assert scenario_hash(plain) != scenario_hash(coded)
