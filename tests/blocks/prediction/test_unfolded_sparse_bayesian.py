from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch
from linksim.core.registry import create

GRID = {"num_delays": 24, "num_dopplers": 8, "frequency_rank": 12}


def make(**options):
    torch.manual_seed(0)
    block = create("predictor", "unfolded_sparse_bayesian", {**GRID, **options})
    block.prepare(ProblemShape(16, 4, 12, 0.1))
    return block


@pytest.fixture(scope="module")
def history_and_future(few_paths, split):
    return split(few_paths(num_paths=6), 0.016, seed=1)


@pytest.mark.parametrize("doppler", ["known", "estimated"])
def test_untrained_it_is_sparse_bayesian_learning(doppler, history_and_future):
    history, future = history_and_future
    untrained = make(num_steps=3, doppler=doppler).predict(history, future.time_s, future.frequency_hz).h
    classical = create("predictor", "sparse_bayesian", {**GRID, "num_iterations": 3, "doppler": doppler})
    expected = classical.predict(history, future.time_s, future.frequency_hz).h
    assert torch.allclose(untrained, expected, rtol=1e-3, atol=1e-3)


def test_training_gains_and_reaches_every_parameter(few_paths, split, learn):
    past, future = split(few_paths(num_paths=6, seed=3), 0.016, seed=1)
    target_hz = past.frequency_hz
    block = make(num_steps=2, hidden_size=8)
    batch = TrainingBatch(past, future, future)
    first, last = learn(block, batch, 1e-2, 8)
    assert last < first - 0.02
    without = [name for name, parameter in block.named_parameters()
               if parameter.grad is None or not parameter.grad.any()]
    assert without == ["log_delay_uncertainty_s"]  # nothing fades within the band
    block.zero_grad()
    other_band = replace(future, frequency_hz=target_hz + 12 * 180e3)
    block.training_loss(TrainingBatch(past, other_band, future)).backward()
    assert block.log_delay_uncertainty_s.grad.any()


def test_one_network_serves_other_sizes(history_and_future):
    history, future = history_and_future
    block = make(num_steps=1)
    shorter = history.with_h(history.h[..., 5:, :8], history.time_s[5:], history.frequency_hz[:8])
    assert block.predict(shorter, future.time_s, future.frequency_hz[:8]).h.isfinite().all()


def test_no_user_depends_on_another(history_and_future):
    history, future = history_and_future
    block = make(num_steps=2)
    for step in block.steps:
        torch.nn.init.normal_(step.network[-1].weight, std=0.1)
    whole = block.predict(history, future.time_s, future.frequency_hz).h
    one = replace(history, h=history.h[1:2], noise_variance=history.noise_variance[1:2],
                  max_doppler_hz=history.max_doppler_hz[1:2])
    alone = block.predict(one, future.time_s, future.frequency_hz).h
    assert torch.allclose(alone, whole[1:2], rtol=1e-3, atol=1e-3)
