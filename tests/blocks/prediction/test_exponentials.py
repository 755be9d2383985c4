"""Predictors that are exact on sums of a few exponentials."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.autoregression import run_forward, shared_predictor, time_covariance
from linksim.blocks.prediction.matrix_pencil import rank_by_description_length, rank_by_noise_level
from linksim.core.registry import create
from linksim.mimo.angle_delay import from_angle_delay, to_angle_delay


@pytest.mark.parametrize(("name", "options"), [
    ("pad", {"energy_fraction": 1.0, "order": 3}),
    ("pad", {"energy_fraction": 1.0, "order": 3, "method": "ls"}),
    ("vector_prony", {}),
    ("vector_prony", {"order": 3}),
    ("matrix_pencil", {"energy_fraction": 1.0}),
    ("matrix_pencil", {"energy_fraction": 1.0, "rank": "mdl"}),
])
def test_noiseless_few_path_channels_are_predicted_exactly(name, options, few_paths, split, nmse):
    history, future = split(few_paths(), 0.0, seed=1)
    predicted = create("predictor", name, options).predict(history, future.time_s, history.frequency_hz)
    assert nmse(predicted.h, future.h) < 1e-6


def test_full_band_shared_prony_in_angle_delay_is_vector_prony(few_paths, split):
    history, future = split(few_paths(num_paths=6), 0.01, seed=1)
    bins = to_angle_delay(history.h, history.panel)
    predictor = shared_predictor(time_covariance(bins), 8)[:, :, None, None, None].to(bins.dtype)
    in_bins = from_angle_delay(run_forward(bins, predictor, [1, 2, 3, 4]), history.panel)
    direct = create("predictor", "vector_prony").predict(history, future.time_s, history.frequency_hz).h
    torch.testing.assert_close(in_bins, direct, atol=1e-4, rtol=1e-4)


def test_pad_with_fewer_bins_keeps_less_energy(few_paths, split):
    history, future = split(few_paths(num_paths=6), 0.01, seed=1)
    energy = [
        create("predictor", "pad", {"energy_fraction": fraction})
        .predict(history, future.time_s, history.frequency_hz).h.abs().square().sum()
        for fraction in (0.5, 0.8, 0.99)
    ]
    assert energy == sorted(energy)


def test_both_rank_rules_count_the_signals_that_stand_out():
    eigenvalues = torch.tensor([[0.9, 1.0, 1.1, 50.0, 90.0], [0.9, 1.0, 1.0, 1.05, 1.1]], dtype=torch.float64)
    assert rank_by_noise_level(eigenvalues, torch.ones(2, dtype=torch.float64)).tolist() == [2, 0]
    assert rank_by_description_length(eigenvalues, 50).tolist() == [2, 0]
