r"""A history as plane waves on a grid of delays and Doppler shifts, beam by beam, and what that says of other samples.

In each beam of the panel's DFT, and alike for every polarisation and terminal antenna, a channel is modelled as

.. math:: \mathbf y_b = \sum_{k,n} x_{bkn}\, \mathbf d(\nu_n)\otimes\mathbf f(\tau_k) + \mathbf w,\qquad
    x_{bkn}\sim\mathcal{CN}(0, \gamma_{bkn}),

with delays :math:`\tau_k`, Doppler shifts :math:`\nu_n` and white noise :math:`\mathbf w` of known variance. Given the
powers :math:`\gamma`, the least squares estimate of any other time and frequency is linear; finding the powers is what
`sparse_bayesian` and `unfolded_sparse_bayesian` are about.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from linksim.blocks.prediction.band import estimate_delay_profile
from linksim.blocks.prediction.doppler import estimate_max_doppler, temporal_correlation
from linksim.csi import Csi, Panel

DELAY_UNCERTAINTY_S = 5e-9
"""Standard deviation of an estimated delay, most of it the grid's: a cell of an 8.64 MHz band is 14.5 ns wide."""

# Cells of the delay grid per resolution cell 1 / bandwidth.
_OVERSAMPLING = 8
# Share of the unambiguous delay range given to negative delays (timing error before the first path).
_NEGATIVE_SHARE = 0.05
# Directions of time that hold less than this share of a fading process's energy are left out.
_LEAST_TIME_SHARE = 1e-6
# Noise assumed at least, relative to a user's power: paths lie between the cells, and single precision ends.
_RELATIVE_NOISE_FLOOR = 1e-5
# Loading of a beam's covariance relative to its trace, which single precision needs to factor it.
_LEAST_LOADING = 2e-7
# Power assumed in a beam at least, relative to a user's noise in one: a beam thought empty can never fill.
_LEAST_BEAM_POWER = 1e-3
# Larger matrices are inverted by halves.
_FACTORED_AT_ONCE = 32
# Users solved at once, which bounds the memory.
_USERS_AT_ONCE = 8


@dataclass(frozen=True)
class GridSize:
    """How finely a history is described.

    :param num_delays: delays kept of the grid, the strongest of each user.
    :param num_dopplers: Doppler shifts from -f_d to f_d.
    :param frequency_rank: directions over frequency that the history is reduced to, the strongest of each user.
    """

    num_delays: int = 64
    num_dopplers: int = 16
    frequency_rank: int = 24


@dataclass(frozen=True)
class PlaneWaves:
    """Histories of some users on their grids, normalised to unit power; index ``wave`` is Doppler, then delay.

    :param observed: history in the reduced basis, complex, ``[user, beam, time and frequency, snapshot]``; a snapshot
        is a pair of polarisation and terminal antenna.
    :param noise: ``[user]``, relative to the history's power.
    :param scale: ``[user]``, the history's root mean square.
    :param first_power: the delay profile of each beam with a flat Clarke grid, ``[user, beam, doppler, delay]``.
    :param delay_s: ``[user, delay]``, ascending.
    :param doppler_hz: ``[user, doppler]``.
    :param time_atoms: ``[user, time direction, doppler]``.
    :param frequency_atoms: ``[user, frequency direction, delay]``.
    """

    observed: torch.Tensor
    noise: torch.Tensor
    scale: torch.Tensor
    first_power: torch.Tensor
    delay_s: torch.Tensor
    doppler_hz: torch.Tensor
    time_atoms: torch.Tensor
    frequency_atoms: torch.Tensor

    def matched(self, power: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        r"""Every plane wave correlated with the history, whitened by the covariance that the powers make.

        :param power: :math:`\gamma`, ``[user, beam, doppler, delay]``.
        :param noise: ``[user]``.
        :returns: :math:`\mathbf a^H\mathbf R^{-1}\mathbf y`, ``[user, beam, snapshot, doppler, delay]``.
        """
        return self._correlated(hermitian_inverse(self._covariance(power, noise)))

    def evidence(self, power: torch.Tensor, noise: torch.Tensor) -> Evidence:
        """What the history says of every plane wave under given powers; parameters as in `matched`."""
        inverse = hermitian_inverse(self._covariance(power, noise))
        return Evidence(self._correlated(inverse).abs().square().mean(2), self._expected(inverse).clamp_min(1e-12))

    def _covariance(self, power: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        a = self.frequency_atoms[:, None, None]
        by_doppler = (a * power.unsqueeze(-2)) @ a.mH  # [user, beam, doppler, rank_f, rank_f]
        shape = self.time_atoms.shape[1], self.frequency_atoms.shape[1]
        blocks = (self._time_products() @ by_doppler.flatten(-2)).unflatten(-1, (shape[1],) * 2)
        covariance = blocks.unflatten(2, (shape[0],) * 2).transpose(3, 4).flatten(4, 5).flatten(2, 3)
        diagonal = covariance.diagonal(dim1=-2, dim2=-1).real
        loading = noise[:, None, None] + _LEAST_LOADING * diagonal.sum(-1, keepdim=True)
        return covariance + torch.diag_embed(loading.expand_as(diagonal))

    def _correlated(self, inverse: torch.Tensor) -> torch.Tensor:
        whitened = (inverse @ self.observed).unflatten(2, (self.time_atoms.shape[1], -1)).movedim(-1, 2)
        return self.time_atoms.mH[:, None, None] @ whitened @ self.frequency_atoms[:, None, None].conj()

    def _expected(self, inverse: torch.Tensor) -> torch.Tensor:
        shape = self.time_atoms.shape[1], self.frequency_atoms.shape[1]
        a = self.frequency_atoms[:, None, None]
        blocks = inverse.unflatten(2, shape).unflatten(4, shape).transpose(3, 4).flatten(2, 3).flatten(-2)
        by_doppler = (self._time_products().mH @ blocks).unflatten(-1, (shape[1],) * 2)
        return ((by_doppler @ a) * a.conj()).real.sum(-2)

    def _time_products(self) -> torch.Tensor:
        """Outer product of each Doppler's samples with themselves, ``[user, 1, time direction squared, doppler]``."""
        return (self.time_atoms[:, :, None] * self.time_atoms[:, None].conj()).flatten(1, 2)[:, None]

    def predict(self, power: torch.Tensor, noise: torch.Tensor, time_s: torch.Tensor, frequency_hz: torch.Tensor
                ) -> torch.Tensor:
        """The conditional mean at other times and frequencies.

        :param power: as in `matched`; ``noise`` likewise.
        :param time_s: ``[time]`` on the history's clock.
        :param frequency_hz: ``[subcarrier]``, relative to the history's first subcarrier.
        :returns: ``[user, beam, snapshot, time, subcarrier]``.
        """
        times = torch.polar(*_one_and(2 * math.pi * self.doppler_hz[:, None] * time_s[:, None]))
        tones = torch.polar(*_one_and(-2 * math.pi * self.delay_s[:, :, None] * frequency_hz))
        x = power[:, :, None] * self.matched(power, noise)
        h = times.to(x.dtype)[:, None, None] @ x @ tones.to(x.dtype)[:, None, None]
        return h * self.scale[:, None, None, None, None]


@dataclass(frozen=True)
class Evidence:
    r"""What a history says of each plane wave, under given powers; both ``[user, beam, doppler, delay]``.

    :param seen: :math:`|\mathbf a^H\mathbf R^{-1}\mathbf y|^2`, mean over snapshots.
    :param expected: :math:`\mathbf a^H\mathbf R^{-1}\mathbf a`, what that would be if the powers were true.
    """

    seen: torch.Tensor
    expected: torch.Tensor


Estimate = Callable[["PlaneWaves"], tuple[torch.Tensor, torch.Tensor]]
"""Powers ``[user, beam, doppler, delay]``, and the noise ``[user]`` that they go with."""


class _HermitianInverse(torch.autograd.Function):
    """An inverse whose derivative is two products rather than that of a factorisation."""

    @staticmethod
    def forward(ctx, matrix: torch.Tensor) -> torch.Tensor:
        inverse, failed = _inverse_by_halves(matrix)
        if failed.any():  # accurate reports leave too little noise for single precision
            inverse[failed] = torch.cholesky_inverse(torch.linalg.cholesky(matrix[failed].to(torch.complex128))
                                                     ).to(inverse.dtype)
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        inverse, = ctx.saved_tensors
        return -(inverse @ (gradient @ inverse))


def hermitian_inverse(matrix: torch.Tensor) -> torch.Tensor:
    """Inverse of Hermitian positive definite matrices, ``[..., n, n]``, differentiable.

    Matrices that single precision cannot factor are inverted in double precision.

    :raises torch.linalg.LinAlgError: one is not positive definite there either.
    """
    return _HermitianInverse.apply(matrix)


def predict_by_waves(history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor, size: GridSize,
                     doppler: Literal["known", "estimated"], estimate: Estimate,
                     delay_uncertainty_s: torch.Tensor | float = DELAY_UNCERTAINTY_S) -> Csi:
    """What every predictor by plane waves does around its estimate of their powers.

    :param history: as for every predictor, and so are ``time_s`` and ``frequency_hz``.
    :param doppler: maximum Doppler shift "known" (the terminal's speed) or "estimated" from the history, together with
        the noise.
    :param estimate: of the powers.
    :param delay_uncertainty_s: standard deviation of estimated delays: outside the history's band the prediction fades
        with the distance from it.
    :raises ValueError: subcarriers that are not evenly spaced, or a single one.
    """
    past_hz, target_hz = _offsets(history), frequency_hz.double() - history.frequency_hz[0].double()
    outside_hz = (target_hz - target_hz.clamp(0, past_hz[-1])).abs()
    fading = torch.exp(-0.5 * (2 * math.pi * outside_hz * delay_uncertainty_s).square())
    max_doppler_hz, noise_variance = history.max_doppler_hz, history.noise_variance
    if doppler == "estimated":
        max_doppler_hz, noise_variance = estimate_max_doppler(history)
    num_ue_antennas = history.h.shape[2]
    h, order = [], []
    for index, waves in by_rank(history, max_doppler_hz, noise_variance, size):
        power, noise = estimate(waves)
        part = waves.predict(power, noise, time_s.double(), target_hz)
        h.append(from_beams(part, history.panel, num_ue_antennas))
        order.append(index)
    h = torch.cat(h)[torch.cat(order).argsort()] * fading.to(history.h.real.dtype)
    h = h.to(history.h.dtype).reshape(*history.h.shape[:4], len(time_s), len(frequency_hz))
    return history.with_h(h, time_s, frequency_hz)


def _inverse_by_halves(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """By Schur complements: products run on all cores, factorisations of a batch one after the other.

    :returns: inverses ``[..., n, n]``, and which of them are none, ``[...]`` bool.
    """
    size = matrix.shape[-1]
    if size <= _FACTORED_AT_ONCE:
        factor, fault = torch.linalg.cholesky_ex(matrix)
        failed = fault != 0
        if failed.any():  # what is left of them may have zeros on the diagonal, which cannot be inverted
            identity = torch.eye(size, dtype=factor.dtype, device=factor.device)
            factor = torch.where(failed[..., None, None], identity, factor)
        return torch.cholesky_inverse(factor), failed
    half = size // 2
    corner, corner_failed = _inverse_by_halves(matrix[..., :half, :half])
    side = corner @ matrix[..., :half, half:]
    rest, rest_failed = _inverse_by_halves(matrix[..., half:, half:] - matrix[..., half:, :half] @ side)
    across = side @ rest
    inverse = torch.empty_like(matrix)
    inverse[..., :half, :half] = corner + across @ side.mH
    inverse[..., :half, half:] = -across
    inverse[..., half:, :half] = -across.mH
    inverse[..., half:, half:] = rest
    return inverse, corner_failed | rest_failed


def by_rank(history: Csi, max_doppler_hz: torch.Tensor, noise_variance: torch.Tensor, size: GridSize
            ) -> list[tuple[torch.Tensor, PlaneWaves]]:
    """The users' plane waves, in groups that have as many directions of time, so that none depends on the others.

    :param max_doppler_hz: ``[batch, user]``; ``noise_variance`` likewise.
    :returns: indices into the flattened ``[batch, user]``, and their plane waves.
    :raises ValueError: subcarriers that are not evenly spaced, or a single one.
    """
    times_s = history.time_s.double()
    max_doppler_hz, noise_variance = max_doppler_hz.flatten().double(), noise_variance.flatten()
    correlation = temporal_correlation(times_s[:, None] - times_s, max_doppler_hz[:, None, None])
    energy, directions = torch.linalg.eigh(correlation)
    rank = (energy > _LEAST_TIME_SHARE * len(times_s)).sum(-1)
    y = _to_beams(history.h.flatten(0, 1), history.panel)
    groups = []
    for number in rank.unique().tolist():
        for index in (rank == number).nonzero().flatten().split(_USERS_AT_ONCE):
            groups.append((index, _plane_waves(
                y[index], history, max_doppler_hz[index], noise_variance[index], directions[index, :, -number:], size)))
    return groups


def from_beams(h: torch.Tensor, panel: Panel, num_ue_antennas: int) -> torch.Tensor:
    """``[user, beam, snapshot, time, subcarrier]`` to ``[user, ue_ant, bs_ant, time, subcarrier]``."""
    by_panel = h.transpose(1, 2).unflatten(2, panel.shape[1:]).unflatten(1, (num_ue_antennas, panel.polarizations))
    return torch.fft.ifft2(by_panel, dim=(3, 4), norm="ortho").flatten(2, 4)


def _to_beams(h: torch.Tensor, panel: Panel) -> torch.Tensor:
    """``[user, ue_ant, bs_ant, time, subcarrier]`` to ``[user, beam, snapshot, time, subcarrier]``."""
    by_panel = torch.fft.fft2(h.unflatten(2, panel.shape), dim=(3, 4), norm="ortho")
    return by_panel.flatten(3, 4).flatten(1, 2).transpose(1, 2)


def _one_and(angle: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones_like(angle), angle


def _plane_waves(y: torch.Tensor, history: Csi, max_doppler_hz: torch.Tensor, noise_variance: torch.Tensor,
                 directions: torch.Tensor, size: GridSize) -> PlaneWaves:
    """One group of users.

    :param y: ``[user, beam, snapshot, time, subcarrier]``.
    :param directions: of time, ``[user, time, direction]``, float64.
    """
    offset_hz = _offsets(history)
    num_cells = _OVERSAMPLING * len(offset_hz)
    spacing_hz = float(offset_hz[1])
    delay_s = (torch.arange(num_cells, dtype=torch.float64, device=y.device) / num_cells - _NEGATIVE_SHARE) / spacing_hz
    power = torch.view_as_real(y).square().sum(-1).mean((1, 2, 3, 4))
    scale = torch.where(power > 0, power, 1.0).sqrt()
    y = y / scale[:, None, None, None, None]
    noise = (noise_variance / scale.square()).clamp(_RELATIVE_NOISE_FLOOR, 1.0)
    reduced = directions.mT.to(y.dtype)[:, None, None] @ y  # [user, beam, snapshot, direction, subcarrier]

    samples = reduced.flatten(2, 3).mT.flatten(0, 1)  # [user and beam, subcarrier, sample]
    covariance = (samples @ samples.mH / samples.shape[-1]).to(torch.complex128)
    num_beams = y.shape[1]
    profile = estimate_delay_profile(covariance, noise.double().repeat_interleave(num_beams), spacing_hz, delay_s)
    beam_power = torch.view_as_real(y).square().sum(-1).mean((2, 3, 4)) - noise[:, None]
    beam_power = torch.maximum(beam_power, _LEAST_BEAM_POWER * noise[:, None])
    profile = profile.unflatten(0, (-1, num_beams)).to(beam_power.dtype)
    profile = profile / profile.sum(-1, keepdim=True).clamp_min(torch.finfo(profile.dtype).tiny)
    profile = profile * beam_power[..., None]

    tones = torch.polar(*_one_and(-2 * math.pi * offset_hz[:, None] * delay_s))
    total = profile.sum(1)
    _, basis = torch.linalg.eigh((tones * total[:, None].double()) @ tones.mH)
    basis = basis[..., -min(size.frequency_rank, len(offset_hz)):].to(y.dtype)
    kept = total.topk(min(size.num_delays, num_cells), -1).indices.sort(-1).values
    tones = tones.to(y.dtype).mT[kept].mT  # [user, subcarrier, delay]
    profile = profile.gather(-1, kept[:, None].expand(-1, num_beams, -1))

    shift = torch.cos(math.pi * (torch.arange(size.num_dopplers, device=y.device, dtype=torch.float64) + 0.5)
                      / size.num_dopplers)  # evenly in angle: alike powers are Clarke's spectrum
    doppler_hz = max_doppler_hz[:, None] * shift
    waves = torch.polar(*_one_and(2 * math.pi * history.time_s.double()[:, None] * doppler_hz[:, None]))
    observed = (reduced @ basis.conj()[:, None, None]).flatten(3).mT
    first = (profile / size.num_dopplers)[:, :, None].expand(-1, -1, size.num_dopplers, -1)
    return PlaneWaves(observed, noise, torch.where(power > 0, scale, 0.0), first, delay_s[kept], doppler_hz,
                      (directions.mT.to(waves.dtype) @ waves).to(y.dtype), basis.mH @ tones)


def _offsets(history: Csi) -> torch.Tensor:
    """Subcarriers relative to the first, Hz, float64."""
    offset_hz = history.frequency_hz.double() - history.frequency_hz[0].double()
    if len(offset_hz) < 2 or not torch.allclose(offset_hz.diff(), offset_hz[1], rtol=1e-3):
        raise ValueError(f"plane waves need at least two evenly spaced subcarriers, but the history has "
                         f"{history.frequency_hz.tolist()} Hz")
    return offset_hz
