"""Precoding algebra: water-filling is optimal, and weights are those of the channel alone."""

import pytest
import torch

from linksim.mimo.precoding import (
    band_precoder,
    maximum_ratio,
    regularized_zero_forcing,
    singular_vectors,
    water_filling,
    zero_forcing,
)


def test_water_filling_meets_the_optimality_conditions():
    gains = torch.rand(200, 5, dtype=torch.float64) ** 4 * 10
    power = water_filling(gains, 2.0)
    torch.testing.assert_close(power.sum(-1), torch.full((200,), 2.0).double())
    level = torch.where(power > 0, power + 1 / gains, torch.nan)
    assert (level.nan_to_num(1e9).amin(-1) - level.nan_to_num(-1e9).amax(-1)).abs().max() < 1e-9
    assert (torch.where(power > 0, torch.inf, 1 / gains) >= level.nan_to_num(-1e9).amax(-1, keepdim=True)).all()


@pytest.mark.parametrize("weights_of", [
    lambda h: maximum_ratio(h, 2), lambda h: zero_forcing(h, 2), lambda h: regularized_zero_forcing(h, 0.1, 2),
    lambda h: singular_vectors(h, 0.1, 2), lambda h: singular_vectors(h, 0.1, 2, "equal")])
def test_weights_do_not_depend_on_other_resources(weights_of):
    h = torch.randn(6, 2, 2, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(weights_of(h)[2:4], weights_of(h[2:4]))


def test_equal_power_reaches_every_stream_and_water_filling_may_silence_the_weak():
    h = torch.diag(torch.tensor([10.0, 1e-3])).to(torch.complex64).reshape(1, 1, 2, 2)
    equal, filled = (singular_vectors(h, 1.0, 2, power).abs().square().sum(-2)[0]
                     for power in ("equal", "water_filling"))
    assert equal.tolist() == pytest.approx([0.5, 0.5])
    assert filled.tolist() == pytest.approx([1, 0])


def test_a_bands_precoder_gets_more_across_than_any_subcarriers_own():
    h = torch.randn(4, 2, 6, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))

    def power(vectors: torch.Tensor) -> torch.Tensor:
        return (h.mT @ vectors.unsqueeze(1)).abs().square().sum((1, 2, 3))

    best = band_precoder(h, 1)
    torch.testing.assert_close(torch.linalg.vector_norm(best, dim=1), torch.ones(4, 1))
    for subcarrier in range(5):
        own = torch.linalg.svd(h[..., subcarrier])[2].mH[..., :1]
        assert (power(own) <= power(best) * (1 + 1e-5)).all()
