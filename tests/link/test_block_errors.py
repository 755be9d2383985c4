"""Blocks through the coded link: no errors where there can be none, no more than is achievable, and what helps
helps."""

from __future__ import annotations

import copy

import pytest
import torch

from linksim.channel.statistical.drops import draw_drops
from linksim.core.csi import by_resource
from linksim.core.registry import create
from linksim.link import chain
from linksim.link.block_errors import block_measures
from linksim.loading.checks import check
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Scenario
from linksim.training.preparation import Built

CHANNEL = {"num_subcarriers": 12, "num_history": 4, "num_future": 2, "num_users": 2, "speed_kmh": 3,
           "bs_array": {"rows": 2, "columns": 4}}


def scenario_of(mode: str = "coded", snr_db: float = 10.0, channel: dict | None = None, **coding) -> Scenario:
    scenario = Scenario.model_validate(copy.deepcopy({
        "channel": {**CHANNEL, **(channel or {})}, "methods": ["hold"], "bounds": [], "metrics": ["bler"],
        "link": {"mode": mode, "precoder": "zf", "snr_db": snr_db, "coding": coding}}))
    check(resolve(scenario))
    return scenario


def measured(scenario: Scenario, drops_seed: int = 1, num_drops: int = 4) -> dict[str, torch.Tensor]:
    """With the true channel known to the base station."""
    drops = draw_drops(scenario.channel, num_drops, drops_seed)
    true = by_resource(drops.future.h)
    noise_variance = 10 ** (-scenario.link.snr_db / 10)
    weights = create("precoder", "zf").precode(true, noise_variance, scenario.link.num_streams_per_user)
    return block_measures(scenario, drops, true, true, weights, None, 1)


def rows_of(scenario: Scenario) -> dict[str, torch.Tensor]:
    """Measures of the method hold through the chain."""
    rows = chain.simulate_chunk([(0, resolve(scenario))], 1, "cpu", Built()).rows
    return {name: found for _, name, found in rows}["hold"]


def bler(measures: dict[str, torch.Tensor]) -> float:
    return float(measures["block_errors"].sum() / measures["num_blocks"].sum())


def test_nothing_is_lost_where_there_is_hardly_any_noise():
    assert bler(measured(scenario_of(snr_db=40.0, mcs=10))) == 0


def test_everything_is_lost_below_capacity():
    measures = measured(scenario_of(snr_db=-10.0, mcs=20))
    assert bler(measures) == 1
    assert not measures["throughput_bps_hz"].any()


@pytest.mark.parametrize("mode", ["abstraction", "coded"])
def test_throughput_never_exceeds_the_achievable_rate(mode):
    for snr_db in (0.0, 10.0, 20.0):
        scenario = scenario_of(mode, snr_db).model_copy(update={"metrics": ["bler", "rate_bps_hz"]})
        scenario = scenario.model_copy(update={"run": scenario.run.model_copy(update={"chunk_size": 6})})
        rows = rows_of(scenario)
        assert (rows["gross_throughput_bps_hz"] <= rows["rate_bps_hz"] + 0.3).all()  # two slots: one may be lucky
        assert rows["gross_throughput_bps_hz"].mean() < rows["rate_bps_hz"].mean()
        assert (rows["throughput_bps_hz"] <= 0.81 * rows["gross_throughput_bps_hz"]).all()


@pytest.mark.parametrize("mode", ["abstraction", "coded"])
def test_reports_of_one_layer_fill_one_stream(mode):
    channel = {"num_users": 1, "ue_array": {"num_antennas": 2}, "num_subcarriers": 16}
    scenario = scenario_of(mode, 20.0, channel).model_copy(update={"metrics": ["bler", "rate_bps_hz"]})
    scenario = scenario.model_copy(update={
        "link": scenario.link.model_copy(update={"num_streams_per_user": 2, "precoder": "svd"}),
        "run": scenario.run.model_copy(update={"chunk_size": 4}),
        "methods": [scenario.methods[0].model_copy(update={"feedback": {"type": "etype2", "combination": 4}})]})
    rows = rows_of(scenario)
    assert (rows["gross_throughput_bps_hz"] <= rows["rate_bps_hz"]).all()
    assert rows["gross_throughput_bps_hz"].mean() > 0.5 * rows["rate_bps_hz"].mean()


def test_perfect_knowledge_loses_less_than_estimates_and_lmmse_less_than_lines():
    lost = {receiver: bler(measured(scenario_of(snr_db=-4.0, mcs=10, receiver=receiver), num_drops=16))
            for receiver in ("perfect", "lmmse", "ls")}
    assert lost["perfect"] <= lost["lmmse"] <= lost["ls"]
    assert lost["perfect"] < lost["ls"]


def test_retransmissions_save_blocks_and_cost_slots():
    once = measured(scenario_of(snr_db=-4.0, mcs=12, channel={"num_future": 4}), num_drops=6)
    twice = measured(scenario_of(snr_db=-4.0, mcs=12, channel={"num_future": 4}, transmissions=4), num_drops=6)
    assert bler(twice) < bler(once)
    assert (twice["num_transmissions"] >= 1).all()
    assert twice["num_transmissions"].max() > 1
    assert float(once["num_transmissions"].max()) == 1


def test_several_streams_of_a_user_carry_one_block():
    scenario = scenario_of(snr_db=35.0, mcs=10, channel={"ue_array": {"num_antennas": 2}})
    scenario = scenario.model_copy(update={"link": scenario.link.model_copy(update={"num_streams_per_user": 2})})
    assert bler(measured(scenario)) == 0


def test_fast_terminals_lose_blocks_that_slow_ones_keep():
    slow, fast = (bler(measured(scenario_of(snr_db=25.0, mcs=20, channel={"speed_kmh": speed}), num_drops=8))
                  for speed in (3, 500))
    assert slow < fast
