from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.band import band_filter, estimate_delay_profile, to_target_band
from linksim.core.registry import create

BANDWIDTH_HZ = 48 * 180e3


def halves(csi, num_subcarriers=48):
    """The lower subcarriers as history and the channel on the upper ones."""
    lower, upper = csi.h[..., :num_subcarriers], csi.h[..., num_subcarriers:]
    history = csi.with_h(lower, None, csi.frequency_hz[:num_subcarriers])
    return history, csi.with_h(upper, None, csi.frequency_hz[num_subcarriers:])


def test_equal_frequencies_return_the_prediction_itself(few_paths):
    csi = few_paths()
    assert to_target_band(csi, csi, csi.frequency_hz.clone(), "sparse") is csi


def test_few_noiseless_paths_are_continued_into_the_adjacent_band(few_paths, nmse):
    history, truth = halves(few_paths(num_subcarriers=96, num_paths=3))
    estimate = to_target_band(history, history, truth.frequency_hz, "sparse")
    assert nmse(estimate.h[..., :12], truth.h[..., :12]) < 0.01
    assert nmse(estimate.h, truth.h) < 0.1


def test_what_lies_as_many_bandwidths_away_fades_alike():
    profile, noise = torch.ones(1, 1, dtype=torch.float64), torch.full((1,), 1e-3, dtype=torch.float64)

    def gain(spacing_hz, steps):
        source_hz = torch.arange(24, dtype=torch.float64) * spacing_hz
        target_hz = source_hz[-1:] + steps * spacing_hz
        return band_filter(profile, noise, torch.zeros(1, dtype=torch.float64), source_hz, target_hz).sum().abs()

    for steps in (1, 24, 100):  # delays are known to a share of what the band resolves
        assert torch.isclose(gain(15e3, steps), gain(1440e3, steps))
    assert gain(15e3, 1) > 0.9
    assert gain(15e3, 240) < 0.1


@pytest.mark.parametrize("gap_hz", [20e6, 50e6, 100e6])
def test_a_far_band_with_independent_phases_is_never_worse_than_zero(gap_hz, few_paths, nmse):
    history = few_paths(num_subcarriers=48, num_paths=20, batch=8)
    independent = few_paths(num_subcarriers=48, num_paths=20, batch=8, seed=9).h
    estimate = to_target_band(history, history, history.frequency_hz + gap_hz, "sparse")
    assert nmse(estimate.h, independent) < 10**0.05


def test_white_channels_are_not_extrapolated(clarke_fading, nmse):
    history, truth = halves(clarke_fading(67.0, num_subcarriers=96))
    estimate = to_target_band(history, history, truth.frequency_hz, "sparse")
    assert nmse(estimate.h, truth.h) < 10**0.05


def test_profile_has_its_peaks_at_the_delays_of_the_paths():
    generator = torch.Generator().manual_seed(0)
    delay_s = torch.arange(48, dtype=torch.float64) / 48 / 180e3 / 2
    phases = torch.exp(-2j * torch.pi * 180e3 * torch.arange(24)[:, None] * delay_s[[5, 20]])
    samples = phases @ torch.randn(2, 500, generator=generator, dtype=torch.complex128)
    covariance = samples @ samples.mH / 500 + 0.01 * torch.eye(24)
    noise_variance = torch.tensor([0.01], dtype=torch.float64)
    profile = estimate_delay_profile(covariance[None], noise_variance, 180e3, delay_s)[0]
    assert sorted(profile.topk(2).indices.tolist()) == [5, 20]
    assert profile[[5, 20]].sum() > 0.9 * profile.sum()


def test_unequal_numbers_of_subcarriers_cannot_be_copied(few_paths):
    history = few_paths()
    predictor = create("predictor", "hold")
    with pytest.raises(ValueError, match="12 subcarriers onto 5"):
        predictor.predict(history, history.time_s[-1:] + 5e-4, history.frequency_hz[:5] + 1e6)


def test_uneven_subcarriers_cannot_be_extrapolated(few_paths):
    csi = few_paths()
    uneven = csi.with_h(csi.h[..., [0, 1, 5]], None, csi.frequency_hz[[0, 1, 5]])
    with pytest.raises(ValueError, match="evenly spaced"):
        to_target_band(uneven, uneven, csi.frequency_hz[:3] + 1e6, "sparse")
