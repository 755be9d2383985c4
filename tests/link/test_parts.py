"""Drops that go through a predictor a few at a time come out as they do together."""

from __future__ import annotations

import pytest
import torch

from linksim.channel.statistical.drops import draw_drops
from linksim.core.registry import create
from linksim.link.parts import predicted
from linksim.scenario.channel import Channel


@pytest.mark.parametrize("predictor", ["hold", "wiener", "kalman", "matrix_pencil", "vector_kalman", "pad"])
def test_parts_are_those_of_the_whole(predictor):
    drops = draw_drops(Channel(model="cdl_a", num_subcarriers=6, num_history=16, num_future=3, num_users=2,
                               duplex="fdd_adjacent"), 5, seed=3)
    block, future = create("predictor", predictor), drops.future
    whole = predicted(block, drops.history, future.time_s, future.frequency_hz, 5)
    parts = predicted(block, drops.history, future.time_s, future.frequency_hz, 2)
    torch.testing.assert_close(parts.h, whole.h, rtol=1e-4, atol=1e-4)
    for name in ("time_s", "frequency_hz", "noise_variance", "max_doppler_hz"):
        assert torch.equal(getattr(parts, name), getattr(whole, name))
