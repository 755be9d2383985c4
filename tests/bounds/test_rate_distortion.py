"""Reverse water-filling, and the bound that it gives for a drop of known geometry."""

from __future__ import annotations

import math

import pytest
import torch

from linksim.blocks.feedback.topm import TopMCodec
from linksim.bounds.rate_distortion import decibel_of_mean, least_error, ray_eigenvalues, reverse_water_filling
from linksim.channel.statistical.drops import draw_drops
from linksim.metrics import nmse
from linksim.scenario.channel import BsArray, Channel


def test_rate_and_error_agree_with_the_water_level():
    eigenvalues = torch.rand(5, 40, generator=torch.Generator().manual_seed(0)).double() ** 4
    for bits in (0.5, 7.0, 100.0):
        error, water = reverse_water_filling(eigenvalues, bits)
        spent = (eigenvalues / water[:, None]).log2().clamp_min(0).sum(-1)
        assert torch.allclose(spent, torch.full_like(spent, bits))
        assert torch.allclose(error, torch.minimum(eigenvalues, water[:, None]).sum(-1))


def test_no_bits_leave_the_whole_power_and_equal_components_share_the_bits():
    eigenvalues = torch.full((6,), 2.0)
    assert float(reverse_water_filling(eigenvalues, 0)[0]) == pytest.approx(12)
    assert float(reverse_water_filling(eigenvalues, 12)[0]) == pytest.approx(12 / 4)


def test_components_without_power_cost_nothing():
    some = torch.tensor([3.0, 0.0, 1.0, 0.0])
    assert torch.allclose(reverse_water_filling(some, 9)[0], reverse_water_filling(some[::2], 9)[0])
    assert float(reverse_water_filling(torch.zeros(3), 5)[0]) == 0


@pytest.fixture(scope="module")
def drops():
    return draw_drops(Channel(num_subcarriers=32, num_history=1, num_future=1, num_users=2,
                              bs_array=BsArray(rows=2, columns=2)), 6, 3)


def genie_rate_distortion(drops, bits):
    return torch.stack([least_error(ray_eigenvalues(drops), one) for one in bits], -1)


def test_the_bound_falls_with_the_bits_and_starts_at_the_whole_power(drops):
    bound = genie_rate_distortion(drops, [0, 16, 64, 256])
    assert bound.shape == (6, 2, 4)
    assert torch.allclose(bound[..., 0], torch.ones(6, 2).double())
    assert (bound.diff(dim=-1) < 0).all()


def test_no_report_beats_the_bound(drops):
    for bits in (64, 256, 1024):
        codec = TopMCodec(bits=bits)
        error = nmse(codec.decode(codec.encode(drops.future)).h, drops.future.h)
        assert 10 * math.log10(error) > decibel_of_mean(genie_rate_distortion(drops, [bits]))
