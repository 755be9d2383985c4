"""The delay window."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback.window import DelayWindow
from linksim.metrics import nmse


def test_the_whole_window_gives_the_channel_back(plane_waves):
    csi = plane_waves()
    window = DelayWindow(16)
    image, code = window.images(csi)
    assert image.shape == (6, 2, 2, 16, 16)
    assert float(image.abs().max()) <= 1
    assert float(image.abs().flatten(1).amax(-1).min()) > 0.97
    back = window.channel(image, code, tuple(csi.h.shape), csi.panel)
    assert torch.allclose(back, csi.h, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 5, 12])
def test_what_lies_beyond_the_window_is_the_error_that_is_left(plane_waves, rows):
    csi = plane_waves()
    window = DelayWindow(rows)
    image, code = window.images(csi)
    back = window.channel(image, code, tuple(csi.h.shape), csi.panel)
    assert nmse(back, csi.h) == pytest.approx(float(window.energy_beyond(csi).mean()), rel=1e-4)


def test_a_channel_of_zeros_is_an_image_of_zeros(plane_waves):
    csi = plane_waves(batch=1, user=1)
    image, code = DelayWindow(8).images(csi.with_h(torch.zeros_like(csi.h)))
    assert int(code) == 0
    assert not image.any()
