"""SINR on the true channel: interference counts, the receiver is LMMSE."""

import pytest
import torch

from linksim.mimo.receiver import achievable_rate, lmmse, own_streams, stream_sinr


def test_interference_of_other_users_is_counted():
    h = torch.eye(2, dtype=torch.complex64).reshape(1, 2, 1, 2)
    apart = torch.eye(2, dtype=torch.complex64).unsqueeze(0) / 2**0.5
    torch.testing.assert_close(stream_sinr(h, apart, 0.1), torch.full((1, 2, 1), 5.0))
    mixed = torch.full((1, 2, 2), 0.5, dtype=torch.complex64)
    torch.testing.assert_close(stream_sinr(h, mixed, 0.1), torch.full((1, 2, 1), 0.25 / 0.35))


def test_one_antenna_formula_equals_the_general_one():
    generator = torch.Generator().manual_seed(1)
    h = torch.randn(5, 3, 1, 8, dtype=torch.complex64, generator=generator)
    weights = torch.randn(5, 8, 3, dtype=torch.complex64, generator=generator)
    silent = torch.cat([h, torch.zeros_like(h)], -2)  # a second antenna that receives nothing but noise
    torch.testing.assert_close(stream_sinr(silent, weights, 0.3), stream_sinr(h, weights, 0.3), rtol=1e-4,
                               atol=1e-5)


def test_sum_of_stream_rates_never_passes_log_det():
    generator = torch.Generator().manual_seed(2)
    h = torch.randn(20, 1, 4, 8, dtype=torch.complex64, generator=generator)
    weights = torch.randn(20, 8, 4, dtype=torch.complex64, generator=generator)
    received = (h[:, 0] @ weights)
    bound = torch.linalg.slogdet(torch.eye(4) + received @ received.mH / 0.1)[1] / torch.log(torch.tensor(2.0))
    assert (achievable_rate(stream_sinr(h, weights, 0.1))[:, 0] <= bound + 1e-3).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_only_the_ratio_of_signal_to_noise_matters(scale):
    generator = torch.Generator().manual_seed(3)
    h = torch.randn(5, 2, 2, 8, dtype=torch.complex64, generator=generator)
    weights = torch.randn(5, 8, 4, dtype=torch.complex64, generator=generator)
    torch.testing.assert_close(stream_sinr(h * scale, weights, 0.1 * scale**2), stream_sinr(h, weights, 0.1),
                               rtol=2e-3, atol=1e-4)


def test_filters_leave_the_least_error_of_all_linear_ones():
    generator = torch.Generator().manual_seed(4)
    received = torch.randn(10, 3, 2, 6, dtype=torch.complex64, generator=generator)
    own = own_streams(received)
    filters, share = lmmse(own, received, 0.2)

    def error(linear):  # of symbols of unit power
        wanted = torch.eye(2, dtype=linear.dtype)
        own_part = (linear @ own.to(linear) - wanted).abs().square().sum((-2, -1))
        all_part = (linear @ received.to(linear)).abs().square().sum((-2, -1))
        return own_part + all_part - (linear @ own.to(linear)).abs().square().sum((-2, -1)) + \
            0.2 * linear.abs().square().sum((-2, -1))

    torch.testing.assert_close(error(filters), (1 - share).sum(-1))
    for _ in range(5):
        other = filters + 0.1 * torch.randn(filters.shape, dtype=filters.dtype, generator=generator)
        assert (error(other) > error(filters)).all()


def test_noise_may_differ_between_channels():
    received = torch.randn(3, 2, 2, dtype=torch.complex64, generator=torch.Generator().manual_seed(5))
    noise = torch.tensor([0.1, 1.0, 10.0])
    together = lmmse(received, received, noise)[1]
    for number, variance in enumerate(noise.tolist()):
        torch.testing.assert_close(together[number], lmmse(received[number], received[number], variance)[1])
