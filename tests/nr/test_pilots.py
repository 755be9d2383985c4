"""Channels estimated from pilots: what does not change is kept, and who knows more errs less."""

from __future__ import annotations

import pytest
import torch

from linksim.mimo.noise import complex_normal
from linksim.nr.pilots import PILOTS, data_symbols, estimated_channel, lines_between, pilot_loss
from linksim.nr.slots import SlotFormat
from linksim.scenario.coding import Coding


def test_lines_between_pilots_keep_what_does_not_change():
    for pilots in PILOTS.values():
        weights = lines_between(torch.tensor(pilots).double(), torch.arange(14).double())
        torch.testing.assert_close(weights.sum(-1), torch.ones(14, dtype=torch.float64))


def test_better_estimates_are_charged_less():
    slot = SlotFormat(12, 6, 12, 1)
    losses = [pilot_loss(Coding(receiver=name), slot) for name in ("perfect", "lmmse", "ls")]
    assert losses[0] == 0 < losses[1] < losses[2] < 1


def test_symbols_carry_pilots_or_data():
    for number, pilots in PILOTS.items():
        data = data_symbols(Coding(pilot_symbols=number))
        assert sorted([*data, *pilots]) == list(range(14))


def test_estimates_of_a_still_channel_err_as_adaptation_is_told():
    draw = torch.Generator().manual_seed(1)
    true = complex_normal((200, 1, 20, 1, 1, 1), draw).expand(-1, 2, -1, -1, -1, -1)
    times_s, still = torch.arange(14).double() * 1e-3 / 28, torch.zeros(200, 1)
    for receiver in ("lmmse", "ls"):
        coding = Coding(receiver=receiver)
        found = estimated_channel(true, times_s[list(PILOTS[2])], times_s[data_symbols(coding)], still, coding, 0.1,
                                  draw)
        error = float((found - true[:, :1]).abs().square().mean())
        assert error == pytest.approx(0.1 * pilot_loss(coding, SlotFormat(1, 1, 12, 1)), rel=0.1)
