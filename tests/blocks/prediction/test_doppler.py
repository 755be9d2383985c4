from __future__ import annotations

import torch

from linksim.blocks.prediction.doppler import best_weight, clarke_error, hold_out


def test_slow_fading_is_foreseen_and_fast_fading_is_not():
    history_s = torch.arange(16, dtype=torch.float64) * 5e-4
    error = clarke_error(history_s, history_s[-1] + torch.tensor([5e-4, 1e-3], dtype=torch.float64),
                         torch.tensor([0.0, 20.0, 200.0, 9000.0], dtype=torch.float64))
    assert error[0] < 1e-3
    assert error[0] < error[1] < error[2] < error[3]
    assert 0.8 < error[3] <= 1


def test_the_best_weight_is_that_of_a_mixture_whatever_the_noise():
    noise = torch.Generator().manual_seed(0)
    one, other, seen = torch.randn(3, 4, 20000, dtype=torch.complex64, generator=noise)
    true = torch.tensor([0.0, 0.3, 1.0, 0.7])
    mixed = one + true[:, None] * (other - one)
    assert torch.allclose(best_weight(one, other, mixed), true, atol=1e-5)
    assert torch.allclose(best_weight(one, other, mixed + seen), true, atol=0.03)
    assert best_weight(one, one, mixed).isfinite().all()
    assert torch.equal(best_weight(one, other, 2 * one - other), torch.zeros(4))  # never beyond either


def test_both_ends_are_held_out(few_paths, split):
    history, future = split(few_paths(), 0.01, seed=1)
    parts = hold_out(history, torch.tensor([1, 4]), future.time_s.double())
    h = history.h.flatten(0, 1)[[1, 4]][:, None]
    assert len(parts) == 2
    for (past, rest), whole in zip(parts, (h, h.flip(-2)), strict=True):
        assert rest.h.shape[-2] == 4  # as many as are predicted
        assert torch.equal(torch.cat([past.h, rest.h], -2), whole)
        assert torch.equal(torch.cat([past.time_s, rest.time_s]), history.time_s)
    short = history.with_h(history.h[..., :2, :], history.time_s[:2])
    assert hold_out(short, torch.tensor([0]), future.time_s.double()) == []
