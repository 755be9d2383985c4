"""Captions over streams: SVD diagonalises, the receiver's belief is right, errors of either end cost their due."""

import pytest
import torch

from linksim.core import registry
from linksim.mimo.receiver import stream_sinr
from linksim.mimo.stream_link import caption_elements, stream_link


def channel(drops=6, resources=12, antennas=8, seed=0):
    noise = torch.Generator().manual_seed(seed)
    return torch.randn(drops, resources, antennas, antennas, dtype=torch.complex64, generator=noise)


def link_of(true, h_hat=None, snr_db=10.0, num_streams=4, num_captions=40, num_elements=4, num_pilots=10**6, seed=1):
    h_hat = true if h_hat is None else h_hat
    weights = registry.create("precoder", "svd").precode(h_hat.unsqueeze(-3), 10 ** (-snr_db / 10), num_streams)
    variance = torch.full((len(true),), 10 ** (-snr_db / 10))
    elements = caption_elements(true.shape[1], num_captions, num_elements).expand(len(true), -1, -1)
    return weights, stream_link(true, h_hat, weights, variance, elements, num_pilots,
                                torch.Generator().manual_seed(seed))


def symbols_for(link, seed=2):
    captions, uses = link.noise_variance.shape
    return torch.randn(captions, uses, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def test_with_true_channels_streams_do_not_meet_and_the_noise_is_as_believed():
    _, link = link_of(channel())
    other = link.response - torch.diag_embed(link.response.diagonal(dim1=-2, dim2=-1))
    assert other.abs().max() < 1e-3
    sent = symbols_for(link)
    error = (link.send(sent) - sent).abs().square()
    # LMMSE's noise over its believed variance has mean one
    assert (error / link.noise_variance).mean().item() == pytest.approx(1, abs=0.03)
    torch.testing.assert_close(link.expected_sinr, 1 / link.noise_variance, rtol=0.05, atol=0)


def test_believed_noise_is_the_sinr_of_the_achievable_rate():
    true = channel()
    weights, link = link_of(true)
    sinr = stream_sinr(true.unsqueeze(-3), weights, 0.1)[0, caption_elements(12, 40, 4)[0]].flatten()
    torch.testing.assert_close(1 / link.noise_variance[0], sinr, rtol=0.02, atol=1e-3)


def test_noise_stays_as_believed_with_few_pilots_and_wrong_precoders():
    true = channel(drops=40)
    wrong = 0.8 * true + 0.6 * channel(drops=40, seed=9)
    _, link = link_of(true, wrong, num_pilots=4, num_captions=8)
    sent = symbols_for(link)
    error = (link.send(sent) - sent).abs().square()
    ratio = error.mean() / link.noise_variance.mean()
    assert 0.8 < ratio.item() < 1.3


def test_a_wrong_precoder_costs_sinr_that_the_transmitter_does_not_expect():
    true = channel()
    _, right = link_of(true)
    _, wrong = link_of(true, channel(seed=5))
    assert (1 / wrong.noise_variance).mean() < 0.7 * (1 / right.noise_variance).mean()
    assert wrong.expected_sinr.mean() > (1 / wrong.noise_variance).mean()


def test_fewer_pilots_make_a_worse_link():
    true = channel()
    errors = []
    for num_pilots in (1, 4, 10**6):
        _, link = link_of(true, num_pilots=num_pilots)
        sent = symbols_for(link)
        errors.append((link.send(sent) - sent).abs().square().mean().item())
    assert errors[0] > errors[1] > errors[2]


def test_a_stream_without_power_is_handed_on_as_nothing():
    true = channel(drops=1)
    weights = registry.create("precoder", "svd").precode(true.unsqueeze(-3), 0.1, 4)
    weights[..., 3] = 0
    link = stream_link(true, true, weights, torch.tensor([0.1]), caption_elements(12, 3, 2)[None], 10**6,
                       torch.Generator().manual_seed(0))
    received = link.send(symbols_for(link))
    assert received.isfinite().all()
    assert link.noise_variance.unflatten(1, (2, 4))[..., 3].min() > 1e5


def test_elements_are_spread_over_the_band_and_differ_between_captions():
    elements = caption_elements(48, 6, 4)
    assert elements.shape == (6, 4)
    assert len({tuple(row) for row in elements.tolist()}) == 6
    assert (elements.sort(1).values.diff(dim=1) == 12).all()
    assert caption_elements(4, 2, 8).max() < 4  # more elements than resources: they serve again


def test_symbols_of_unit_amplitude_arrive_as_ever():
    _, link = link_of(channel(), snr_db=20.0, num_pilots=4)
    sent = symbols_for(link)
    received, noise_variance = link.air.send(sent, torch.ones_like(link.noise_variance))
    torch.testing.assert_close(received, link.send(sent), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(noise_variance, link.noise_variance, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("num_pilots", [4, 100])
def test_belief_and_promise_hold_where_half_of_the_streams_are_silent(num_pilots):
    true = channel(drops=40)
    weights = registry.create("precoder", "svd", {"power": "equal"}).precode(true.unsqueeze(-3), 1.0, 4)
    elements = caption_elements(12, 8, 4).expand(40, -1, -1)
    link = stream_link(true, true, weights, torch.full((40,), 0.5), elements, num_pilots,
                       torch.Generator().manual_seed(1))
    amplitude = torch.tensor([2**0.5, 2**0.5, 0, 0]).repeat(320, 4)
    sent = symbols_for(link) * amplitude
    received, noise_variance = link.air.send(sent, amplitude)
    used = amplitude > 0
    error = (received - sent).abs().square()[used]
    assert (error / noise_variance[used]).mean().item() == pytest.approx(1, abs=0.35)
    promised = amplitude[used].square() / (link.expected_sinr[used] * amplitude[used].square())
    assert error.mean() < 1.1 * promised.mean()
    assert (noise_variance[~used] > 1e5).all()


def test_nobody_sends_more_power_than_there_is():
    true = channel(drops=2)
    weights = registry.create("precoder", "svd", {"power": "equal"}).precode(true.unsqueeze(-3), 1.0, 4)
    link = stream_link(true, true, weights, torch.full((2,), 0.5), caption_elements(12, 8, 4).expand(2, -1, -1), 4,
                       torch.Generator().manual_seed(1))
    ones = torch.ones(16, 16)
    _, fair = link.air.send(ones.to(torch.complex64), ones)
    _, greedy = link.air.send(10 * ones.to(torch.complex64), 10 * ones)
    torch.testing.assert_close(greedy, 100 * fair)
