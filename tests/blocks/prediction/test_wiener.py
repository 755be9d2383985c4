from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.doppler import estimate_max_doppler, temporal_correlation
from linksim.core.registry import create

NOISE_VARIANCE = 0.016
DOPPLERS_HZ = (22.0, 67.0, 133.0, 222.0)


def error_of(name, history, future, nmse, **options):
    predicted = create("predictor", name, options).predict(history, future.time_s, history.frequency_hz)
    return nmse(predicted.h, future.h)


def theoretical_mse(history, future, max_doppler_hz):
    doppler = torch.tensor(max_doppler_hz, dtype=torch.float64)
    past_s = history.time_s
    covariance = temporal_correlation(past_s[:, None] - past_s, doppler)
    covariance = covariance + NOISE_VARIANCE * torch.eye(len(past_s))
    cross = temporal_correlation(future.time_s[:, None] - past_s, doppler)
    return float((1 - (cross * torch.linalg.solve(covariance, cross.mT).mT).sum(-1)).mean())


@pytest.mark.parametrize("max_doppler_hz", DOPPLERS_HZ)
def test_error_on_clarke_fading_is_the_theoretical_one(max_doppler_hz, clarke_fading, split, nmse):
    history, future = split(clarke_fading(max_doppler_hz, batch=20), NOISE_VARIANCE, seed=1)
    measured = error_of("wiener", history, future, nmse, domain="temporal")
    assert measured == pytest.approx(theoretical_mse(history, future, max_doppler_hz), rel=0.1)


@pytest.mark.parametrize("max_doppler_hz", DOPPLERS_HZ)
def test_wiener_beats_hold_and_ar_in_noise(max_doppler_hz, clarke_fading, split, nmse):
    history, future = split(clarke_fading(max_doppler_hz), NOISE_VARIANCE, seed=1)
    wiener = error_of("wiener", history, future, nmse)
    assert wiener < error_of("hold", history, future, nmse)
    assert wiener < error_of("ar", history, future, nmse)


@pytest.mark.parametrize("max_doppler_hz", DOPPLERS_HZ)
def test_known_doppler_is_no_worse_than_estimated_and_that_than_mismatched(
        max_doppler_hz, clarke_fading, split, nmse):
    history, future = split(clarke_fading(max_doppler_hz), NOISE_VARIANCE, seed=1)
    known, estimated, mismatched = (
        error_of("wiener", history, future, nmse, doppler=doppler)
        for doppler in ("known", "estimated", "mismatched")
    )
    assert known <= 1.05 * estimated
    assert estimated <= 1.05 * mismatched


@pytest.mark.parametrize("max_doppler_hz", DOPPLERS_HZ[1:])
def test_estimated_doppler_is_near_the_true_one(max_doppler_hz, clarke_fading, split):
    history, _ = split(clarke_fading(max_doppler_hz), NOISE_VARIANCE, seed=1)
    estimate, _ = estimate_max_doppler(history)
    torch.testing.assert_close(estimate, torch.full_like(estimate, max_doppler_hz), rtol=0.15, atol=0)


@pytest.mark.slow
def test_a_long_history_tells_slow_terminals_from_standing_ones(few_paths, split):
    history, _ = split(few_paths(2, batch=1), 0.01, seed=1)
    still = history.h[..., :1, :].expand(-1, -1, -1, -1, 512, -1)
    long = history.with_h(still, torch.arange(512, dtype=torch.float64) * history.sampling_period_s)
    estimate, _ = estimate_max_doppler(long)
    assert (estimate * 512 * history.sampling_period_s < 0.1).all()  # turns in the whole history


def test_any_real_time_can_be_predicted(clarke_fading, split):
    history, future = split(clarke_fading(67.0), NOISE_VARIANCE, seed=1)
    between = future.time_s[:1] + 1.3e-4
    assert create("predictor", "wiener").predict(history, between, history.frequency_hz).h.isfinite().all()
