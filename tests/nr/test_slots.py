"""Resources of a slot and what overhead costs."""

from __future__ import annotations

import pytest
import torch

from linksim.nr.slots import SlotFormat, csi_rs_share, delivered_rate, report_rate
from linksim.scenario.channel import Channel
from linksim.scenario.coding import Coding
from linksim.scenario.schema import Scenario

SLOT = SlotFormat(num_tones=48, subcarriers=6, data_symbols=12, num_streams=1)


def test_a_slot_has_the_resources_of_its_tones():
    scenario = Scenario.model_validate({"methods": ["hold"], "link": {"mode": "coded", "num_streams_per_user": 1}})
    assert SlotFormat.of(scenario) == SLOT  # 180 kHz tones are six subcarriers of 30 kHz
    assert SLOT.num_resources == 48 * 6 * 12


def test_csi_rs_and_reports_cost_less_the_rarer_they_are():
    coding, channel = Coding(), Channel.model_validate({"csi_period_ms": 0.5})
    assert csi_rs_share(channel, coding) == pytest.approx(32 / 168)
    rare = Channel.model_validate({"csi_period_ms": 5.0})
    assert csi_rs_share(rare, coding) == pytest.approx(32 / 1680)
    bits = torch.tensor([864.0])
    assert float(report_rate(bits, channel)) == pytest.approx(0.2)  # 864 bits in 0.5 ms over 8.64 MHz
    assert float(report_rate(bits, rare)) == pytest.approx(0.02)


def test_net_rate_charges_pilots_and_cyclic_prefixes():
    over_slot, over_data = delivered_rate(torch.tensor(3456.0), SLOT, Coding(), Channel())
    assert float(over_data) == 1.0
    # 12 of 14 symbols, and 14 symbols are 14/15 of a slot
    assert float(over_slot) == pytest.approx(12 / 15)
