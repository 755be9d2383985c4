"""Top-M: positions and values of the strongest angle-delay coefficients, split as well as the bits allow."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback.bits import combination_bits
from linksim.blocks.feedback.topm import TopMCodec, affordable_coefficients
from linksim.blocks.feedback.value_formats import value_formats
from linksim.blocks.prediction.transform import from_angle_delay
from linksim.metrics import nmse


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
