"""Top-M: positions and values of the strongest angle-delay coefficients, split as well as the bits allow."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback.bits import combination_bits
from linksim.blocks.feedback.topm import TopMCodec, affordable_coefficients, value_formats
from linksim.metrics import nmse
from linksim.mimo.angle_delay import from_angle_delay


def test_as_many_coefficients_are_sent_as_the_bits_afford():
    for bits in (20, 100, 777):
        count = affordable_coefficients(512, 6, bits)
        assert combination_bits(512, count) + 6 * count <= bits
        assert combination_bits(512, count + 1) + 6 * (count + 1) > bits
    assert affordable_coefficients(8, 2, 1000) == 8


@pytest.mark.parametrize("values", ["polar", "uniform"])
def test_every_format_reproduces_what_it_reproduces(values):
    for one in value_formats(values):
        code = torch.arange(2**min(one.bits, 10))
        spread = torch.tensor([12.0])
        value = one.dequantize(code, spread)
        # phases wrap and shrunk amplitudes may leave their cell: the reproduction must be as near, not the same code
        again = one.dequantize(one.quantize(value, spread), spread)
        assert (again - value).abs().max() < 0.5


def test_channels_that_are_sparse_on_the_grid_come_back_but_for_the_quantiser(plane_waves, one_instant):
    csi = plane_waves()
    g = torch.zeros_like(csi.h)
    g[:, :, :, 3, :, 5] = 1
    g[:, :, :, 9, :, 0] = 0.7j
    sparse = one_instant(from_angle_delay(g, csi.panel))
    codec = TopMCodec(bits=200)
    assert nmse(codec.decode(codec.encode(sparse)).h, sparse.h) < 2e-3


def test_a_delay_window_keeps_nothing_beyond_it(plane_waves, one_instant):
    csi = plane_waves()
    g = torch.zeros_like(csi.h)
    g[:, :, :, 3, :, 2] = 1
    g[:, :, :, 3, :, 12] = 2
    codec = TopMCodec(bits=300, delay_window=4)
    h = one_instant(from_angle_delay(g, csi.panel))
    assert float(nmse(codec.decode(codec.encode(h)).h, h.h)) == pytest.approx(0.8, abs=0.01)


def test_trying_all_formats_is_never_much_worse_than_either(plane_waves):
    csi = plane_waves(batch=8)

    def error(values: str) -> float:
        codec = TopMCodec(bits=150, values=values)
        return float(nmse(codec.decode(codec.encode(csi)).h, csi.h))

    assert error("best") < 1.02 * min(error("polar"), error("uniform"))


@pytest.mark.slow
def test_the_28_ghz_set_at_full_band_needs_the_bits_that_it_is_known_to_need():
    """1024 tones x 32 antennas, outdoors: top-M, and the genie bound, as measured independently on 32 other drops."""
    from linksim.bounds.rate_distortion import decibel_of_mean, least_error, ray_eigenvalues
    from linksim.channel.statistical.drops import draw_drops
    from linksim.scenario.channel import BsArray, Channel

    drops = draw_drops(Channel(
        carrier_frequency_ghz=28, num_subcarriers=1024, subcarrier_spacing_khz=100e3 / 1024, num_history=1,
        num_future=1, bs_array=BsArray(rows=1, columns=32, polarization="single"), precision="double"), 16, 1)
    known = {128: (-3.4, -12.0), 256: (-5.0, -18.0), 512: (-6.9, -27.5), 1024: (-9.3, -42.6), 2048: (-11.9, -66)}
    values = ray_eigenvalues(drops)
    for bits, (top_m, genie) in known.items():
        codec = TopMCodec(bits=bits)
        error = nmse(codec.decode(codec.encode(drops.future)).h, drops.future.h)
        assert decibel_of_mean(error) == pytest.approx(top_m, abs=0.5)
        assert decibel_of_mean(least_error(values, bits)) == pytest.approx(genie, rel=0.05)
