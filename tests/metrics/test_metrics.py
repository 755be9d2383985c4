"""NMSE and SGCS in every convention, each against a case worked by hand."""

import pytest
import torch

from linksim.metrics import nmse, sgcs
from linksim.metrics.accuracy import (
    nmse_per_drop,
    rho_per_drop,
    sgcs_per_drop,
    sgcs_trace_per_drop,
    window_nmse_per_drop,
)


def csi(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def test_nmse_is_the_mean_of_ratios_not_the_ratio_of_sums():
    h = torch.ones(2, 1, 1, 1, 1, 1, dtype=torch.complex64)
    h[1] = 10
    h_hat = h.clone()
    h_hat[0] += 1  # ratios 1 and 0: mean 0.5; sums 1 / 101
    assert float(nmse(h_hat, h)) == pytest.approx(0.5)


def test_predicting_zero_is_0_db_and_truth_is_perfect():
    h = csi(3, 2, 2, 4, 2, 5)
    assert float(nmse(torch.zeros_like(h), h)) == pytest.approx(1)
    assert float(nmse(h, h)) == 0
    assert float(sgcs(h, h)) == pytest.approx(1, abs=1e-5)
    assert float(sgcs(torch.zeros_like(h), h)) == 0


def test_batch_order_changes_nothing():
    h, h_hat = csi(4, 2, 2, 4, 2, 5), csi(4, 2, 2, 4, 2, 5, seed=1)
    order = torch.tensor([2, 0, 3, 1])
    for measure in (nmse_per_drop, sgcs_per_drop, sgcs_trace_per_drop, rho_per_drop):
        torch.testing.assert_close(measure(h_hat[order], h[order]), measure(h_hat, h)[order])


def test_trace_form_is_one_minus_nmse_over_the_best_gain():
    h, h_hat = csi(5, 1, 1, 8, 2, 6), csi(5, 1, 1, 8, 2, 6, seed=1) + 0.7 * csi(5, 1, 1, 8, 2, 6)
    flat, flat_hat = h.flatten(2), h_hat.flatten(2)
    gain = (flat_hat.conj() * flat).sum(-1, keepdim=True) / flat_hat.abs().square().sum(-1, keepdim=True)
    best = (flat - gain * flat_hat).abs().square().sum(-1) / flat.abs().square().sum(-1)
    torch.testing.assert_close(sgcs_trace_per_drop(h_hat, h), 1 - best, rtol=1e-4, atol=1e-5)


def test_eigenvector_form_ignores_phases_per_subcarrier_and_the_trace_form_does_not():
    h = csi(2, 1, 1, 8, 1, 16)
    turned = h * torch.exp(2j * torch.pi * torch.rand(16, generator=torch.Generator().manual_seed(0)))
    assert float(sgcs(turned, h)) == pytest.approx(1, abs=1e-5)
    assert (sgcs_trace_per_drop(turned, h) < 0.5).all()


def test_rho_is_not_squared():
    h = torch.zeros(1, 1, 1, 2, 1, 1, dtype=torch.complex64)
    h[:, :, :, 0] = 1
    h_hat = torch.ones_like(h)
    assert float(rho_per_drop(h_hat, h)) == pytest.approx(0.5**0.5)
    assert float(sgcs_per_drop(h_hat, h)) == pytest.approx(0.5)


def test_sgcs_compares_dominant_eigenvectors_of_multi_antenna_terminals():
    h = torch.zeros(1, 1, 2, 3, 1, 1, dtype=torch.complex64)
    h[0, 0, 0, 0], h[0, 0, 1, 1] = 2, 1  # dominant direction: BS antenna 0
    h_hat = torch.zeros_like(h)
    h_hat[0, 0, 1, 0] = 1j  # the same direction, seen at the other terminal antenna
    assert float(sgcs(h_hat, h)) == pytest.approx(1, abs=1e-5)


def test_sgcs_takes_a_reported_eigenvector_for_a_channel_of_one_antenna():
    h = torch.randn(2, 1, 2, 8, 1, 3, dtype=torch.complex64)
    right = torch.linalg.svd(h.permute(0, 1, 4, 5, 2, 3), full_matrices=False)[2]
    reported = right[..., :1, :].permute(0, 1, 4, 5, 2, 3)  # v^H
    assert sgcs(reported, h) == pytest.approx(1, abs=1e-5)


def test_the_windows_error_leaves_out_what_lies_beyond_it():
    delay = torch.zeros(1, 1, 1, 2, 1, 64, dtype=torch.complex64)
    delay[..., 3], delay[..., 50] = 2.0, 1.0
    h, h_hat = (torch.fft.fft(x, dim=-1, norm="ortho") for x in (delay, delay * (torch.arange(64) < 32)))
    assert window_nmse_per_drop(h_hat, h).item() == pytest.approx(0, abs=1e-10)
    assert window_nmse_per_drop(0.5 * h_hat, h).item() == pytest.approx(0.25, rel=1e-5)
    assert window_nmse_per_drop(0.5 * h, h, num_rows=64).item() == pytest.approx(0.25, rel=1e-5)
