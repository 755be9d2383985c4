"""From the subcarriers a predictor has seen to those it must predict (FDD)."""

from __future__ import annotations

import math
import weakref
from typing import Literal

import torch

from linksim.core.csi import Csi

Band = Literal["sparse", "copy"]

# Delay cells per resolution cell 1 / bandwidth.
_OVERSAMPLING = 4
_NUM_ITERATIONS = 15
# Share of the unambiguous delay range given to negative delays (timing error before the first path).
_NEGATIVE_SHARE = 0.05
# Power assumed in every delay cell, in units of noise variance per subcarrier: a cell thought empty leaves
# the filter free to amplify whatever is there after all.
_CELL_POWER_FLOOR = 0.1
# Noise assumed at least, relative to the signal power: paths lie between the cells.
_RELATIVE_NOISE_FLOOR = 1e-5
# Uncertainty of an estimated delay (standard deviation) times the bandwidth: 10 ns in 8.64 MHz. Extrapolation fades
# over 1 / (2 pi 10 ns) = 16 MHz there, over twice the band anywhere.
_DELAY_UNCERTAINTY = 10e-9 * 8.64e6


def estimate_delay_profile(covariance: torch.Tensor, noise_variance: torch.Tensor,
                           subcarrier_spacing_hz: float, delay_s: torch.Tensor) -> torch.Tensor:
    r"""Power delay profile on a grid by sparse maximum likelihood.

    Model: every antenna and time is an independent draw with covariance
    :math:`\boldsymbol\Sigma = \sum_g \gamma_g\boldsymbol\phi_g\boldsymbol\phi_g^H + \sigma^2\mathbf I` over
    the subcarriers, :math:`\boldsymbol\phi_g` being delay :math:`\tau_g`. The multiplicative update

    .. math:: \gamma_g \leftarrow \gamma_g \sqrt{
        \frac{\boldsymbol\phi_g^H\boldsymbol\Sigma^{-1}\hat{\mathbf C}\boldsymbol\Sigma^{-1}\boldsymbol\phi_g}
        {\boldsymbol\phi_g^H\boldsymbol\Sigma^{-1}\boldsymbol\phi_g}}

    is majorisation-minimisation of the negative log-likelihood (Stoica and Babu, "SPICE and LIKES", 2012): it
    never lowers the likelihood and keeps the profile positive and sparse.

    :param covariance: :math:`\hat{\mathbf C}`, complex128, ``[user, subcarrier, subcarrier]``.
    :param noise_variance: :math:`\sigma^2`, positive, ``[user]``.
    :param delay_s: ``[delay]``; together the cells must cover every delay that the channel may have.
    :returns: :math:`\gamma`, ``[user, delay]``.
    """
    size = covariance.shape[-1]
    # Quadratic forms with delay vectors need only sums along diagonals; lag k - l is at k - l + size - 1.
    index = torch.arange(size, device=covariance.device)
    lag_index = index[:, None] - index + size - 1
    lags = torch.arange(1 - size, size, dtype=torch.float64, device=covariance.device)
    phases = torch.exp(-2j * math.pi * subcarrier_spacing_hz * lags[:, None] * delay_s)

    def quadratic_form(matrix: torch.Tensor) -> torch.Tensor:
        sums = matrix.new_zeros(len(matrix), 2 * size - 1)
        sums.index_add_(1, lag_index.flatten(), matrix.flatten(1))
        return (sums @ phases.conj()).real

    total = covariance.diagonal(dim1=-2, dim2=-1).real.mean(-1)
    profile = (total / len(delay_s))[:, None].expand(-1, len(delay_s))
    noise = noise_variance[:, None, None] * torch.eye(
        size, dtype=covariance.dtype, device=covariance.device)
    for _ in range(_NUM_ITERATIONS):
        model = (profile.to(phases.dtype) @ phases.mT)[:, lag_index] + noise
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(model))
        observed = quadratic_form(inverse @ covariance @ inverse).clamp_min(0)
        expected = quadratic_form(inverse).clamp_min(torch.finfo(torch.float64).tiny)
        profile = profile * (observed / expected).sqrt()
    return profile


def bandwidth_hz(frequency_hz: torch.Tensor) -> torch.Tensor:
    """Bandwidth of evenly spaced subcarriers, ``[subcarrier]``, two at least: their number times their spacing, Hz."""
    return (frequency_hz[-1] - frequency_hz[0]).double() * (len(frequency_hz) / (len(frequency_hz) - 1))


def band_filter(profile: torch.Tensor, noise_variance: torch.Tensor, delay_s: torch.Tensor,
                source_hz: torch.Tensor, target_hz: torch.Tensor) -> torch.Tensor:
    """LMMSE filter from source to target subcarriers for a power delay profile with uncertain delays.

    Correlation between subcarriers fades as they move apart, so that a band far away, as the source's bandwidth has
    it, is estimated as zero: delays are known to a share of what that bandwidth resolves.

    :param profile: ``[user, delay]``.
    :param noise_variance: ``[user]``, positive.
    :param source_hz: ``[source]``, evenly spaced, two at least.
    :param target_hz: ``[target]``.
    :returns: complex128, ``[user, target, source]``.
    """
    delay_uncertainty_s = _DELAY_UNCERTAINTY / float(bandwidth_hz(source_hz))

    def correlation(left_hz: torch.Tensor, right_hz: torch.Tensor) -> torch.Tensor:
        spacing = left_hz[:, None] - right_hz
        fading = torch.exp(-0.5 * (2 * math.pi * delay_uncertainty_s * spacing).square())
        phases = torch.exp(-2j * math.pi * spacing[..., None] * delay_s) * fading[..., None]
        return (profile.to(phases.dtype) @ phases.flatten(0, 1).mT).unflatten(-1, spacing.shape)

    noise = noise_variance[:, None, None] * torch.eye(
        len(source_hz), dtype=torch.complex128, device=profile.device)
    source, cross = correlation(source_hz, source_hz) + noise, correlation(target_hz, source_hz)
    # The source's covariance is Hermitian: cross source^-1 = (source^-1 cross^H)^H.
    return torch.linalg.solve(source, cross.mH).mH


# The filter depends on the history alone, so the predictors that share a history share it. Keyed by the history
# object and gone with it; recomputing gives the same filter.
_filters: weakref.WeakKeyDictionary[Csi, tuple[torch.Tensor, torch.Tensor]] = weakref.WeakKeyDictionary()


def extrapolate_band(h: torch.Tensor, history: Csi, frequency_hz: torch.Tensor) -> torch.Tensor:
    """Estimate other subcarriers with a delay profile learned from the history, one per user.

    :param h: complex, ``[batch, user, ue_ant, bs_ant, horizon, subcarrier]`` on the history's subcarriers.
    :param frequency_hz: ``[target subcarrier]``, Hz.
    :returns: ``[batch, user, ue_ant, bs_ant, horizon, target subcarrier]``.
    :raises ValueError: the history's subcarriers are not evenly spaced, or fewer than two.
    """
    known = _filters.get(history)
    if known is None or not torch.equal(known[0], frequency_hz):
        known = (frequency_hz, _history_filter(history, frequency_hz))
        _filters[history] = known
    moved = h.flatten(2, 4) @ known[1].mT.to(h.dtype)
    return moved.unflatten(2, h.shape[2:5])


def _history_filter(history: Csi, frequency_hz: torch.Tensor) -> torch.Tensor:
    """Filter of every user, ``[batch, user, target, source]``, from the delay profile of the history."""
    source_hz = history.frequency_hz.double()
    spacing_hz = float((source_hz[-1] - source_hz[0]) / max(len(source_hz) - 1, 1))
    evenly = torch.allclose(source_hz.diff(), source_hz.new_tensor(spacing_hz), rtol=1e-3)
    if len(source_hz) < 2 or not evenly:
        raise ValueError(
            'band "sparse" needs at least two evenly spaced subcarriers, but the history has '
            f'{source_hz.tolist()} Hz: use band "copy"'
        )
    num_cells = _OVERSAMPLING * len(source_hz)
    # The whole unambiguous range: energy at delays outside the grid would be amplified without bound.
    cells = torch.arange(num_cells, dtype=torch.float64, device=source_hz.device)
    delay_s = (cells / num_cells - _NEGATIVE_SHARE) / spacing_hz

    samples = history.h.flatten(0, 1).movedim(-1, 1).flatten(2).to(torch.complex128)
    covariance = samples @ samples.mH / samples.shape[-1]
    noise_variance = history.noise_variance.flatten().double()
    power = covariance.diagonal(dim1=-2, dim2=-1).real.mean(-1)
    # Everything relative to the received power: a silent user has covariance zero and noise one.
    scale = torch.where(power > 0, power, 1.0)
    noise = torch.maximum(noise_variance / scale, power.new_tensor(_RELATIVE_NOISE_FLOOR))
    profile = estimate_delay_profile(covariance / scale[:, None, None], noise, spacing_hz, delay_s)
    profile = profile + _CELL_POWER_FLOOR * noise[:, None] / len(source_hz)
    # Differences from a common origin: only these matter, and they keep their digits.
    origin_hz = source_hz[0]
    weights = band_filter(profile, noise, delay_s, source_hz - origin_hz, frequency_hz.double() - origin_hz)
    return weights.unflatten(0, history.h.shape[:2])


def to_target_band(prediction: Csi, history: Csi, frequency_hz: torch.Tensor, method: Band) -> Csi:
    """Move a prediction from the history's subcarriers to the target ones; nothing to do where they agree.

    :param prediction: CSI at the predicted times on the history's subcarriers.
    :param history: what the predictor saw.
    :param frequency_hz: ``[target subcarrier]``, Hz.
    :param method: "sparse" extrapolates with an estimated sparse delay profile (`extrapolate_band`); "copy"
        takes subcarrier k for subcarrier k, as published FDD baselines do.
    :raises ValueError: "copy" between unequal numbers of subcarriers.
    """
    source_hz = history.frequency_hz
    if len(source_hz) == len(frequency_hz) and torch.equal(source_hz, frequency_hz):
        return prediction
    if method == "sparse":
        return prediction.with_h(extrapolate_band(prediction.h, history, frequency_hz), None, frequency_hz)
    if len(source_hz) != len(frequency_hz):
        raise ValueError(
            f'band "copy" maps {len(source_hz)} subcarriers onto {len(frequency_hz)}: make the numbers '
            'equal or use band "sparse"'
        )
    return prediction.with_h(prediction.h, None, frequency_hz)
