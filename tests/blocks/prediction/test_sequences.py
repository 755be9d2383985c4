from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.sequences import from_sequences, to_sequences


def test_there_and_back_is_the_channel(few_paths, split):
    history, _ = split(few_paths(), 0.016, seed=1)
    x, scale = to_sequences(history)
    again = from_sequences(x, scale, history, history.time_s, history.frequency_hz)
    assert torch.allclose(again.h, history.h, atol=1e-6)


def test_every_user_has_unit_mean_power_whatever_the_others_have(few_paths, split):
    history, _ = split(few_paths(), 0.016, seed=1)
    gain = torch.tensor([1e-6, 1.0, 1e3])[:, None, None, None, None, None]
    x, _ = to_sequences(replace(history, h=gain * history.h))
    assert torch.allclose(x, to_sequences(history)[0], rtol=1e-4, atol=1e-5)
    power = 2 * x.square().unflatten(0, history.h.shape[:4]).mean((2, 3, 4, 5))
    assert torch.allclose(power, torch.ones_like(power))


def test_sequences_of_another_horizon_are_refused(few_paths, split):
    history, future = split(few_paths(), 0.016, seed=1)
    x, scale = to_sequences(history)
    with pytest.raises(ValueError, match="made for 16 steps of 12 subcarriers, but 4 steps of 12 are asked for"):
        from_sequences(x, scale, history, future.time_s, future.frequency_hz)
