"""Noise has the variance that is asked for, in every part, and comes from its generator alone."""

import pytest
import torch

from linksim.mimo.noise import complex_normal, noise_variance_at


def test_values_have_unit_variance_and_no_preferred_phase():
    values = complex_normal((200, 500), torch.Generator().manual_seed(1))
    assert values.dtype == torch.complex64
    assert float(values.abs().square().mean()) == pytest.approx(1, abs=0.02)
    assert float(values.real.square().mean()) == pytest.approx(0.5, abs=0.01)
    assert float(values.square().mean().abs()) < 0.02


def test_a_generator_gives_the_same_noise_again():
    torch.manual_seed(0)
    first = complex_normal((3, 4), torch.Generator().manual_seed(2))
    torch.manual_seed(1)
    assert torch.equal(first, complex_normal((3, 4), torch.Generator().manual_seed(2)))


def test_ten_decibel_are_a_tenth():
    assert noise_variance_at(10.0) == pytest.approx(0.1)
    torch.testing.assert_close(noise_variance_at(torch.tensor([0.0, -20.0])), torch.tensor([1.0, 100.0]))
