"""Ranges of models and of traced materials: they bind what is drawn or traced, and no stored channel."""

from __future__ import annotations

import pytest

from linksim.channel.source import source_of
from linksim.core.errors import ScenarioError
from linksim.loading.load import scenario_from_dict
from linksim.scenario.channel import Channel

OUTSIDE = [
    ({"carrier_frequency_ghz": 0.49}, "carrier_frequency_ghz: must be at least 0.5 for uma"),
    ({"carrier_frequency_ghz": 140}, "carrier_frequency_ghz: must be at most 100 for uma"),
    ({"model": "rma", "carrier_frequency_ghz": 30.1}, "carrier_frequency_ghz: must be at most 30 for rma"),
    ({"model": "rma", "carrier_frequency_ghz": 29.95, "duplex": "fdd_gapped_coherent"},
     "duplex_gap_mhz: the downlink's carrier in GHz must be at most 30 for rma"),
    ({"model": "cdl_a", "carrier_frequency_ghz": 101}, "at most 100 for cdl_a"),
    ({"source": "ray_traced", "carrier_frequency_ghz": 0.9}, "at least 1 for ray_traced"),
    ({"source": "ray_traced", "num_users": 17}, "num_users: must be at most 16 for ray_traced"),
    ({"num_users": 17}, "num_users: must be at most 16 for uma"),
    ({"ue_array": {"num_antennas": 65}}, "ue_array.num_antennas: must be at most 64"),
    ({"speed_kmh": 501}, "speed_kmh: must be at most 500"),
    ({"model": "uma", "bs_array": {"height_m": 1.5}}, "bs_array.height_m: must be at least 10 for uma"),
    ({"model": "rma", "bs_array": {"height_m": 151}}, "bs_array.height_m: must be at most 150 for rma"),
    ({"model": "inh_open", "bs_array": {"height_m": 1.0}}, "bs_array.height_m: must be at least 1.1"),
    ({"model": "inf_sh", "bs_array": {"height_m": 26}}, "bs_array.height_m: must be at most 25"),
]


def check(channel):
    source_of(channel).check_channel(channel)


@pytest.mark.parametrize(("fields", "words"), OUTSIDE)
def test_what_a_source_does_not_hold_for_is_refused_with_key_and_reason(fields, words):
    with pytest.raises(ScenarioError, match=words.replace(".", r"\.")):
        check(Channel(**fields))


@pytest.mark.parametrize("fields", [fields for fields, _ in OUTSIDE if fields.get("source") != "ray_traced"])
def test_stored_channels_have_no_limits_of_models(fields):
    check(Channel(source="files", files={"path": "channels.h5"}, **fields))


@pytest.mark.parametrize("fields", [
    {"model": "rma", "carrier_frequency_ghz": 30}, {"carrier_frequency_ghz": 0.5}, {"num_users": 16},
    {"model": "uma", "bs_array": {"height_m": 25}}, {"model": "umi", "bs_array": {"height_m": 10}},
    {"model": "inf_sl", "bs_array": {"height_m": 1.5}}, {"source": "ray_traced", "carrier_frequency_ghz": 100}])
def test_the_ends_of_the_ranges_hold(fields):
    check(Channel(**fields))


def test_every_sweep_point_and_every_training_channel_is_looked_at():
    scenario = {"methods": ["hold"], "sweep": {"channel.carrier_frequency_ghz": [28, 40]}, "channel": {"model": "rma"}}
    with pytest.raises(ScenarioError, match=r"carrier_frequency_ghz: must be at most 30 .*= 40"):
        scenario_from_dict(scenario)
    learned = {"methods": ["ridge"], "training": {"channel": {"model": "rma"}},
               "channel": {"carrier_frequency_ghz": 60}}
    with pytest.raises(ScenarioError, match=r"training.channel.carrier_frequency_ghz: must be at most 30 for rma"):
        scenario_from_dict(learned)
