"""Subbands: the standard's table, R, and eigenvectors."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback.codebook import divide, eigenvectors, even_then_odd
from linksim.core.errors import ScenarioError


def tones(count: int, spacing_khz: float) -> torch.Tensor:
    return 2.4e9 + torch.arange(count, dtype=torch.float64) * spacing_khz * 1e3


@pytest.mark.parametrize(("blocks", "size", "size_blocks", "count"), [
    (24, "small", 4, 6), (72, "large", 8, 9), (73, "small", 8, 10), (144, "large", 16, 9), (145, "small", 16, 10),
    (273, "small", 16, 18), (275, "large", 32, 9), (52, "small", 4, 13),
])
def test_subbands_of_one_tone_a_block_follow_the_table(blocks, size, size_blocks, count):
    subbands = divide(tones(blocks, 180), size)
    assert (subbands.blocks, subbands.size_blocks, subbands.count) == (blocks, size_blocks, count)
    assert subbands.of_subcarrier.tolist() == [tone // size_blocks for tone in range(blocks)]


def test_two_precoders_a_subband_halve_it_and_a_short_last_half_is_left_out():
    assert divide(tones(52, 180), "small", per_cqi_subband=2).count == 26
    assert divide(tones(50, 180), "small", per_cqi_subband=2).count == 25


def test_a_wide_band_takes_wider_resource_blocks():
    subbands = divide(tones(1024, 100e3 / 1024), "small")  # 100 MHz: 139 blocks of 60 kHz subcarriers
    assert (subbands.blocks, subbands.size_blocks, subbands.count) == (139, 8, 18)
    assert divide(tones(1024, 100e3 / 1024), "small", resource_block_khz=1440.0).blocks == 70


@pytest.mark.parametrize("count", [1, 8, 23])
def test_a_band_of_less_than_24_blocks_is_one_subband(count):
    assert divide(tones(count, 180), "small").count == 1


def test_bands_that_cannot_be_divided_are_refused_in_one_line():
    for text, grid, width in (("at most 275", tones(276, 1440), None), ("at most 275", tones(300, 180), 180.0),
                              ("narrower", tones(12, 900), 180.0)):
        with pytest.raises(ScenarioError, match=text) as error:
            divide(grid, "small", resource_block_khz=width)
        assert "\n" not in str(error.value)


def test_even_subbands_come_before_the_odd():
    assert even_then_odd(5) == [0, 2, 4, 1, 3]


@pytest.mark.parametrize("num_ue_antennas", [2, 12])
def test_eigenvectors_maximise_the_energy_of_their_subband(num_ue_antennas):
    torch.manual_seed(1)
    h = torch.randn(3, num_ue_antennas, 8, 26, dtype=torch.complex64)
    subbands = divide(tones(26, 180), "small")
    v = eigenvectors(h, subbands, 2)
    assert v.shape == (3, 7, 2, 8)
    torch.testing.assert_close(v @ v.mH, torch.eye(2, dtype=v.dtype).expand(3, 7, 2, 2))
    for subband in range(7):
        part = h[..., subbands.of_subcarrier == subband].to(v.dtype)
        energy = torch.einsum("uabk,ulb->ualk", part, v[:, subband]).abs().square().sum((1, 3))
        covariance = torch.einsum("uabk,uack->ubc", part.conj(), part)
        torch.testing.assert_close(energy, torch.linalg.eigvalsh(covariance).flip(-1)[:, :2], rtol=1e-5, atol=1e-6)


def test_eigenvectors_of_a_zero_channel_are_orthonormal():
    v = eigenvectors(torch.zeros(1, 2, 8, 26, dtype=torch.complex64), divide(tones(26, 180), "small"), 2)
    torch.testing.assert_close(v @ v.mH, torch.eye(2, dtype=v.dtype).expand(1, 7, 2, 2))
