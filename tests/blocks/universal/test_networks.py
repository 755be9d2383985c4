"""The encoders: what they are told, and what they must not depend on."""

import pytest
import torch

from linksim.blocks.universal.alignment import angle_delay_picture, eigenbeams
from linksim.mimo.precoding import band_precoder


def _channel(count=5):
    return torch.randn(count, 2, 8, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))


def test_pictures_do_not_change_with_a_common_phase():
    h = _channel()
    torch.testing.assert_close(angle_delay_picture(h), angle_delay_picture(1j * h), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(eigenbeams(h), eigenbeams(1j * h), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("num_streams", [1, 2])
def test_eigenbeams_are_the_precoder_of_the_band(num_streams):
    h = _channel()
    told = eigenbeams(h, num_streams)
    beams = torch.view_as_complex(told.unflatten(1, (-1, num_streams, 2)).contiguous())
    precoder = torch.nn.functional.normalize(torch.fft.fft(beams, dim=1, norm="ortho"), dim=1)
    same = (precoder.conj() * band_precoder(h, num_streams)).sum(1).abs()
    torch.testing.assert_close(same, torch.ones(5, num_streams), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(told.square().mean(1), torch.ones(5))


@pytest.mark.parametrize("num_streams", [1, 2])
def test_no_other_precoder_gets_more_power_across(num_streams):
    h, precoder = _channel(), band_precoder(_channel(), num_streams)
    other = torch.linalg.qr(precoder + 0.1 * torch.randn(precoder.shape, dtype=precoder.dtype)).Q

    def power(one):
        return torch.einsum("suak,san->sukn", h, one).abs().square().sum((1, 2, 3))

    assert (power(precoder) > power(other)).all()
