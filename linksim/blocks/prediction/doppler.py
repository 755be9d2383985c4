"""Temporal correlation of fading and estimation of its maximum Doppler shift."""

from __future__ import annotations

import math
from typing import Literal

import torch

from linksim.core.csi import Csi
from linksim.mimo.angle_delay import signal_power, to_angle_delay

Spectrum = Literal["clarke", "flat"]

# The estimator tries this many Doppler shifts, from half the sampling frequency down to 1/256 of that; for histories of
# more than 16 samples as much further down and as many more: the slowest makes 1/32 turn in them.
_GRID_SIZE = 64
_GRID_SPAN = 256
_GRID_HISTORY = 16
_NUM_STRONGEST_BINS = 64
# Noise in the strongest bins may exceed the stated mean over all bins: interpolating and smoothing pilot estimates
# concentrate it in the early delays.
_NOISE_MULTIPLES = (1, 6, 36)
# Noise assumed at least, relative to a bin's power: a few rays per bin are no Clarke spectrum, so that one
# very strong bin must not overrule the others.
_RELATIVE_NOISE_FLOOR = 1e-4


def temporal_correlation(delay_s: torch.Tensor, max_doppler_hz: torch.Tensor,
                         spectrum: Spectrum = "clarke") -> torch.Tensor:
    r"""Normalised autocorrelation of fading.

    Clarke: :math:`\rho(\tau) = J_0(2\pi f_d\tau)`. Flat Doppler spectrum on :math:`[-f_d, f_d]`:
    :math:`\rho(\tau) = \mathrm{sinc}(2 f_d\tau)`.

    :param delay_s: any shape, seconds.
    :param max_doppler_hz: broadcastable to ``delay_s``, Hz.
    :returns: real, the broadcast shape.
    """
    if spectrum == "flat":
        return torch.sinc(2 * max_doppler_hz * delay_s)
    return torch.special.bessel_j0(2 * math.pi * max_doppler_hz * delay_s)


def strongest_bins(history: Csi, num_bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The angle-delay bins with most signal power, over all terminal antennas.

    :returns: their samples, complex128 ``[batch, user, time, bin]``, and their noise-corrected powers,
        float64 ``[batch, user, bin]``; fewer than ``num_bins`` if there are not as many.
    """
    bins = to_angle_delay(history.h, history.panel)
    power = signal_power(bins, history.noise_variance).flatten(2).double()
    by_time = bins.movedim(-2, 2).flatten(3)
    strongest = power.topk(min(num_bins, power.shape[-1]), dim=-1)
    index = strongest.indices[:, :, None].expand(-1, -1, by_time.shape[2], -1)
    return by_time.gather(-1, index).to(torch.complex128), strongest.values


def estimate_max_doppler(history: Csi) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Maximum Doppler shift and noise per user by maximum likelihood over a logarithmic grid.

    The user's strongest angle-delay bins are taken as independent Gaussian processes with Clarke correlation
    :math:`\mathbf R(f_d)`, own powers :math:`P_b` and white noise; minimises
    :math:`\sum_b \log\det\mathbf C_b + \mathbf y_b^H\mathbf C_b^{-1}\mathbf y_b` with
    :math:`\mathbf C_b = P_b\mathbf R + \sigma^2\mathbf I`. Fitting :math:`J_0` to the averaged
    autocorrelation instead underestimates users whose paths arrive from one side, which costs
    up to 9 dB of prediction.

    :returns: ``[batch, user]``, float64, Hz; and the noise variance that fits, a multiple of the stated one.
    """
    y, power = strongest_bins(history, _NUM_STRONGEST_BINS)
    period_s = history.sampling_period_s
    span = _GRID_SPAN * max(y.shape[-2] / _GRID_HISTORY, 1.0)
    num_shifts = round(_GRID_SIZE * math.log(span) / math.log(_GRID_SPAN))
    grid_hz = 0.5 / period_s * span**torch.linspace(-1, 0, num_shifts, dtype=torch.float64, device=y.device)
    times_s = torch.arange(y.shape[-2], dtype=torch.float64, device=y.device) * period_s
    correlation = temporal_correlation(times_s[:, None] - times_s, grid_hz[:, None, None])
    eigenvalues, eigenvectors = torch.linalg.eigh(correlation)
    # [batch, user, grid, time, bin]
    energy = (eigenvectors.mT.to(y.dtype) @ y[:, :, None]).abs().square()
    stated = history.noise_variance[..., None].double()
    total = power + stated
    costs = []
    for multiple in _NOISE_MULTIPLES:
        noise = torch.maximum(torch.minimum(multiple * stated, total), _RELATIVE_NOISE_FLOOR * power)
        signal = (total - noise).clamp_min(0)
        variance = eigenvalues.clamp_min(0)[:, :, None] * signal[:, :, None, None] + noise[:, :, None, None]
        # A user without any signal or noise: every Doppler fits.
        variance = torch.where(variance > 0, variance, 1.0)
        costs.append((variance.log() + energy / variance).sum((-2, -1)))
    best = torch.stack(costs, -1).flatten(-2).argmin(-1)
    multiples = torch.tensor(_NOISE_MULTIPLES, device=y.device)[best % len(_NOISE_MULTIPLES)]
    return grid_hz[best // len(_NOISE_MULTIPLES)], history.noise_variance * multiples
