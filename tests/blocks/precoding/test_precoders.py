"""Precoders: unit power, known optima, and no NaN whatever the CSI."""

import math

import pytest
import torch

from linksim.core import registry
from linksim.mimo.precoding import water_filling
from linksim.mimo.receiver import achievable_rate, stream_sinr

NAMES = [spec.name for spec in registry.catalogue("precoder") if not spec.trains]


def channel(users=3, ue_ant=1, bs_ant=8, batch=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, users, ue_ant, bs_ant, dtype=torch.complex64, generator=generator)


def rate(h, weights, noise_variance):
    return achievable_rate(stream_sinr(h, weights, noise_variance)).sum(-1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("users", "ue_ant", "streams"), [(1, 1, 1), (4, 1, 1), (2, 2, 2), (3, 2, 1)])
def test_unit_total_power(name, users, ue_ant, streams):
    weights = registry.create("precoder", name).precode(channel(users, ue_ant), 0.1, streams)
    assert weights.shape == (50, 8, users * streams)
    torch.testing.assert_close(weights.abs().square().sum((-2, -1)), torch.ones(50))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["zero", "identical users", "tiny", "one zero user"])
def test_unusable_csi_never_gives_nan_or_more_than_unit_power(name, kind):
    h = channel()
    h = {"zero": 0 * h, "identical users": h[:, :1].expand_as(h), "tiny": 1e-18 * h,
         "one zero user": h * torch.tensor([1, 1, 0])[:, None, None]}[kind].clone()
    weights = registry.create("precoder", name).precode(h, 1e-3, 1)
    assert torch.isfinite(weights).all()
    assert (weights.abs().square().sum((-2, -1)) < 1 + 1e-4).all()


def test_zero_forcing_leaves_no_interference():
    h = channel()
    received = (h @ registry.create("precoder", "zf").precode(h, 0.1, 1).unsqueeze(-3)).squeeze(-2)
    off_diagonal = received - torch.diag_embed(received.diagonal(dim1=-2, dim2=-1))
    assert off_diagonal.abs().max() < 1e-4 * received.abs().max()


def test_zero_forcing_rate_grows_by_a_third_of_a_bit_per_db_per_stream():
    h = channel().to(torch.complex128)
    weights = registry.create("precoder", "zf").precode(h, 0.0, 1)
    rates = [rate(h, weights, 10 ** (-snr_db / 10)).mean() for snr_db in (50, 51)]
    assert float(rates[1] - rates[0]) == pytest.approx(3 * math.log2(10) / 10, rel=1e-3)


def test_regularised_tends_to_maximum_ratio_and_to_zero_forcing():
    h = channel()
    precode = {name: registry.create("precoder", name).precode for name in NAMES}
    torch.testing.assert_close(precode["rzf"](h, 1e6, 1), precode["mrt"](h, 1e6, 1), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(precode["rzf"](h, 1e-7, 1), precode["zf"](h, 1e-7, 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("snr_db", [-10, 0, 10, 20])
def test_regularised_is_best_of_its_kind_on_average(snr_db):
    h, noise_variance = channel(users=6), 10 ** (-snr_db / 10)
    rates = {name: rate(h, registry.create("precoder", name).precode(h, noise_variance, 1), noise_variance).mean()
             for name in ("mrt", "zf", "rzf")}
    assert rates["rzf"] >= max(rates["mrt"], rates["zf"]) - 1e-3


@pytest.mark.parametrize("snr_db", [-10, 0, 20])
def test_svd_attains_the_capacity_of_one_user(snr_db):
    h, noise_variance = channel(users=1, ue_ant=4), 10 ** (-snr_db / 10)
    weights = registry.create("precoder", "svd").precode(h, noise_variance, 4)
    singular = torch.linalg.svdvals(h[:, 0])
    gains = singular.square() / noise_variance
    capacity = torch.log2(1 + gains * water_filling(gains)).sum(-1)
    torch.testing.assert_close(rate(h, weights, noise_variance), capacity, rtol=1e-3, atol=1e-3)
