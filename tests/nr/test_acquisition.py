"""Acquisition: noise as announced, pilots through Sionna."""

import pytest
import torch

from linksim.channel.statistical.drops import draw_drops
from linksim.metrics import nmse
from linksim.nr.acquisition import acquire
from linksim.scenario.channel import BsArray, Channel
from linksim.scenario.schema import Acquisition

CHANNEL = Channel(num_users=2, num_subcarriers=24, num_history=4, subcarrier_spacing_khz=15,
                  bs_array=BsArray(rows=2, columns=2))


@pytest.fixture(scope="module")
def drops():
    return draw_drops(CHANNEL, 20, 1)


def noise():
    return torch.Generator().manual_seed(1)


def decibel(value):
    return 10 * torch.log10(value).item()


def test_perfect_acquisition_is_the_truth(drops):
    estimate, observation = acquire(drops.history, Acquisition(type="perfect"), noise())
    assert torch.equal(estimate.h, drops.history.h)
    assert observation.noise_variance.max() == 0


@pytest.mark.parametrize("csi_snr_db", [0.0, 18.0])
def test_awgn_error_is_what_the_csi_snr_says_for_every_user(drops, csi_snr_db):
    estimate, _ = acquire(drops.history, Acquisition(csi_snr_db=csi_snr_db), noise())
    error = (estimate.h - drops.history.h).abs().square().mean((2, 3, 4, 5))
    torch.testing.assert_close(error, estimate.noise_variance, rtol=0.25, atol=0)
    power = drops.history.h.abs().square().mean((2, 3, 4, 5))
    torch.testing.assert_close(estimate.noise_variance, power * 10 ** (-csi_snr_db / 10))


def test_two_snrs_see_the_same_noise(drops):
    errors = [(acquire(drops.history, Acquisition(csi_snr_db=snr), noise())[0].h - drops.history.h) for snr in (0, 20)]
    torch.testing.assert_close(errors[0] / 10, errors[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"interpolation": "nearest"}, {"estimator": "lmmse"}])
def test_dense_pilots_in_little_noise_find_the_channel(drops, options):
    estimate, _ = acquire(drops.history, Acquisition(type="pilots", csi_snr_db=40, **options), noise())
    assert estimate.h.shape == drops.history.h.shape
    assert decibel(nmse(estimate.h, drops.history.h)) < -20


def test_lmmse_beats_ls_in_noise(drops):
    errors = {name: nmse(acquire(drops.history, Acquisition(type="pilots", csi_snr_db=0, estimator=name), noise())[0].h,
                         drops.history.h) for name in ("ls", "lmmse")}
    assert errors["lmmse"] < errors["ls"] / 2


def test_the_observation_behind_pilots_is_the_channel_in_noise(drops):
    _, observation = acquire(drops.history, Acquisition(type="pilots", csi_snr_db=20), noise())
    assert (observation.mask.sum(-1) == 12).all()
    mask = observation.mask[None, :, :, None, None].expand_as(observation.h)
    error = (observation.h - drops.history.h)[mask].abs().square().mean()
    assert float(error / observation.noise_variance.mean()) == pytest.approx(1, rel=0.05)
