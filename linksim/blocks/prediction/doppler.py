"""Temporal correlation of fading and estimation of its maximum Doppler shift."""

from __future__ import annotations

import math
from dataclasses import replace
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


# Noise assumed at each sample in `clarke_error`.
_NOISE = 1e-2


def clarke_error(history_s: torch.Tensor, target_s: torch.Tensor, max_doppler_hz: torch.Tensor) -> torch.Tensor:
    r"""What is left of Clarke's fading when the past is known at 20 dB: 0 if it can be foreseen, 1 if it cannot.

    :param history_s: ``[time]``; ``target_s`` ``[horizon]``, float64.
    :param max_doppler_hz: ``[user]``, float64.
    :returns: mean over the horizon, ``[user]``.
    """
    doppler_hz = max_doppler_hz[:, None, None]
    correlation = temporal_correlation(history_s[:, None] - history_s, doppler_hz)
    correlation = correlation + _NOISE * torch.eye(len(history_s), dtype=correlation.dtype, device=correlation.device)
    cross = temporal_correlation(target_s[:, None] - history_s, doppler_hz)
    return 1 - (cross * torch.linalg.solve(correlation, cross.mT).mT).sum(-1).mean(-1)


def hold_out(history: Csi, users: torch.Tensor, target_s: torch.Tensor) -> list[tuple[Csi, Csi]]:
    """Some users' histories without their newest samples, and these; then the same of the histories run backwards.

    Fading has no direction of time, so its beginning is as good a test as its end.

    :param users: indices into the flattened ``[batch, user]``; they become a batch of one user each.
    :param target_s: ``[horizon]``; as many samples are held out as lie before its end, a third of them at most.
    :returns: nothing for histories too short to be learned from and tested on.
    """
    history_s = history.time_s.double()
    num_samples = len(history_s)
    if num_samples < 3:
        return []
    steps = float(target_s.max() - history_s[-1]) / history.sampling_period_s
    first = num_samples - min(max(round(steps), 1), num_samples // 3)
    h = history.h.flatten(0, 1)[users, None]
    some = replace(history, h=h, noise_variance=history.noise_variance.flatten()[users, None],
                   max_doppler_hz=history.max_doppler_hz.flatten()[users, None])
    return [(some.with_h(x[..., :first, :], some.time_s[:first]), some.with_h(x[..., first:, :], some.time_s[first:]))
            for x in (h, h.flip(-2))]


def best_weight(one: torch.Tensor, other: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Weight of ``other``, from 0 to 1, in the mean of two predictions that is nearest to what was seen.

    L. Breiman, "Stacked regressions", Machine Learning 24, 1996. Noise in what was seen moves it to neither side.

    :param one: complex, ``[user, ...]``; the others alike.
    :returns: ``[user]``.
    """
    step, missing = ((x - one).flatten(1) for x in (other, truth))
    length = step.abs().square().sum(-1)
    return ((step.conj() * missing).real.sum(-1) / torch.where(length > 0, length, 1.0)).clamp(0, 1)
