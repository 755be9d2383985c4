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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from linksim.blocks.prediction.band import bandwidth_hz, estimate_delay_profile
from linksim.blocks.prediction.doppler import (
    best_weight,
    clarke_error,
    estimate_max_doppler,
    hold_out,
    temporal_correlation,
)
from linksim.blocks.prediction.wave_grid import (
    DopplerCells,
    GridSize,
    delay_cells,
    delay_sizes,
    doppler_cells,
    num_doppler_cells,
    polar,
)
from linksim.core.csi import Csi, Panel
from linksim.mimo.inverse import hermitian_inverse

DELAY_UNCERTAINTY_S = 5e-9
"""Standard deviation of a delay estimated in 8.64 MHz, most of it the grid's: a cell of that band is 14.5 ns wide."""

_BANDWIDTH_HZ = 8.64e6
# Of delays of which a single subcarrier tells nothing: what cities spread them by.
_UNKNOWN_DELAY_S = 300e-9

# Directions of time that hold less than this share of a fading process's energy are left out.
_LEAST_TIME_SHARE = 1e-6
# Noise assumed at least, relative to a user's power: paths lie between the cells.
_RELATIVE_NOISE_FLOOR = 1e-7
# Loading of a beam's covariance relative to its trace, which it takes to factor it.
_LEAST_LOADING = {torch.complex64: 2e-7, torch.complex128: 1e-14}
# Less noise than this, relative to a user's power, would be hidden by what single precision needs.
_LEAST_SINGLE_NOISE = 1e-4
# Power assumed in a beam at least, relative to a user's noise in one: a beam thought empty can never fill.
_LEAST_BEAM_POWER = 1e-3
# Clarke's fading that is not foreseen to less than this share of its power leaves doubt of what is learned beyond it.
_LARGEST_FORESEEN = 0.5
# Users solved at once, plane waves of theirs, and entries of their beams' covariances: these bound the memory.
_USERS_AT_ONCE = 8
_WAVES_AT_ONCE = 2**19
_ENTRIES_AT_ONCE = 2**24


@dataclass(frozen=True)
class PlaneWaves:
    """Histories of some users on their grids, normalised to unit power; index ``wave`` is Doppler, then delay.

    :param observed: history in the reduced basis, ``[user, beam, time and frequency, snapshot]``; a snapshot is a pair
        of polarisation and terminal antenna. Complex64, or where there is next to no noise complex128, as the atoms are
        then; all else has single precision.
    :param noise: ``[user]``, relative to the history's power.
    :param scale: ``[user]``, the history's root mean square.
    :param first_power: the delay profile of each beam with a flat Clarke grid, ``[user, beam, doppler, delay]``.
    :param delay_s: ``[user, delay]``, ascending.
    :param doppler: the cells of Doppler shift.
    :param time_atoms: ``[user, time direction, doppler]``.
    :param frequency_atoms: ``[user, frequency direction, delay]``.
    """

    observed: torch.Tensor
    noise: torch.Tensor
    scale: torch.Tensor
    first_power: torch.Tensor
    delay_s: torch.Tensor
    doppler: DopplerCells
    time_atoms: torch.Tensor
    frequency_atoms: torch.Tensor

    def matched(self, power: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        r"""Every plane wave correlated with the history, whitened by the covariance that the powers make.

        :param power: :math:`\gamma`, ``[user, beam, doppler, delay]``.
        :param noise: ``[user]``.
        :returns: :math:`\mathbf a^H\mathbf R^{-1}\mathbf y`, ``[user, beam, snapshot, doppler, delay]``.
        """
        return _joined([self._correlated(inverse, beams) for inverse, beams in self._inverses(power, noise)])

    def evidence(self, power: torch.Tensor, noise: torch.Tensor) -> Evidence:
        """What the history says of every plane wave under given powers; parameters as in `matched`."""
        seen, expected = [], []
        for inverse, beams in self._inverses(power, noise):
            seen.append(self._correlated(inverse, beams).abs().square().mean(2).to(power.dtype))
            expected.append(self._expected(inverse).clamp_min(1e-12).to(power.dtype))
        return Evidence(_joined(seen), _joined(expected))

    def _inverses(self, power: torch.Tensor, noise: torch.Tensor) -> Iterator[tuple[torch.Tensor, slice]]:
        """Inverse covariances of as many beams at a time as memory allows."""
        num_rows = self.time_atoms.shape[1] * self.frequency_atoms.shape[1]
        num_entries = num_rows**2 + self.doppler.share.shape[-1] * self.frequency_atoms.shape[1]**2
        at_once = max(_ENTRIES_AT_ONCE // (len(power) * num_entries), 1)
        for first in range(0, power.shape[1], at_once):
            beams = slice(first, first + at_once)
            yield hermitian_inverse(self._covariance(power[:, beams], noise)), beams

    def _covariance(self, power: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        a = self.frequency_atoms[:, None, None]
        by_doppler = (a * power.unsqueeze(-2)) @ a.mH  # [user, beam, doppler, rank_f, rank_f]
        shape = self.time_atoms.shape[1], self.frequency_atoms.shape[1]
        blocks = (self._time_products() @ by_doppler.flatten(-2)).unflatten(-1, (shape[1],) * 2)
        covariance = blocks.unflatten(2, (shape[0],) * 2).transpose(3, 4).flatten(4, 5).flatten(2, 3)
        diagonal = covariance.diagonal(dim1=-2, dim2=-1).real
        loading = noise[:, None, None] + _LEAST_LOADING[covariance.dtype] * diagonal.sum(-1, keepdim=True)
        return covariance + torch.diag_embed(loading.expand_as(diagonal))

    def _correlated(self, inverse: torch.Tensor, beams: slice) -> torch.Tensor:
        whitened = (inverse @ self.observed[:, beams]).unflatten(2, (self.time_atoms.shape[1], -1)).movedim(-1, 2)
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
        times = self.doppler.waves(time_s)
        tones = polar(-2 * math.pi * self.delay_s[:, :, None] * frequency_hz)
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


def predict_by_waves(history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor, size: GridSize,
                     doppler: Literal["known", "estimated"], estimate: Estimate,
                     delay_uncertainty_s: torch.Tensor | float = DELAY_UNCERTAINTY_S) -> Csi:
    """What every predictor by plane waves does around its estimate of their powers.

    :param history: as for every predictor, and so are ``time_s`` and ``frequency_hz``.
    :param size: of the grids at least.
    :param doppler: maximum Doppler shift "known" (the terminal's speed) or "estimated" from the history, together with
        the noise.
    :param estimate: of the powers.
    :param delay_uncertainty_s: standard deviation of delays estimated in a band of 8.64 MHz, in others inversely:
        outside the history's band the prediction fades with the distance from it.
    :raises ValueError: subcarriers that are not evenly spaced.
    """
    target_hz = frequency_hz.double() - history.frequency_hz[0].double()
    fading = fading_between_bands(history, frequency_hz, delay_uncertainty_s)
    history = with_doppler(history, doppler)
    weight = _weight_of_learned(history, time_s.double(), size, estimate)
    first, learned = _predictions(history, time_s.double(), target_hz, size, estimate, weight < 1)
    h = torch.where(_per_user(weight, first) < 1, first + _per_user(weight, first) * (learned - first), learned)
    h = (h * fading).to(history.h.dtype)
    return history.with_h(h.unflatten(0, history.h.shape[:2]), time_s, frequency_hz)


def with_doppler(history: Csi, doppler: Literal["known", "estimated"]) -> Csi:
    """The same with the largest Doppler shift and the noise as estimated from it, or as they are known."""
    if doppler == "known":
        return history
    max_doppler_hz, noise_variance = estimate_max_doppler(history)
    return replace(history, max_doppler_hz=max_doppler_hz, noise_variance=noise_variance)


def fading_between_bands(history: Csi, frequency_hz: torch.Tensor, delay_uncertainty_s: torch.Tensor | float
                         ) -> torch.Tensor:
    """How far a prediction is believed on each subcarrier, ``[target subcarrier]``: 1 within the history's band.

    :param delay_uncertainty_s: as of `predict_by_waves`.
    """
    past_hz, target_hz = _offsets(history), frequency_hz.double() - history.frequency_hz[0].double()
    outside_hz = (target_hz - target_hz.clamp(0, past_hz[-1])).abs()
    if len(past_hz) > 1:
        delay_uncertainty_s = delay_uncertainty_s * (_BANDWIDTH_HZ / float(bandwidth_hz(past_hz)))
    else:
        delay_uncertainty_s = _UNKNOWN_DELAY_S
    return torch.exp(-0.5 * (2 * math.pi * outside_hz * delay_uncertainty_s).square()).to(history.h.real.dtype)


def _weight_of_learned(history: Csi, time_s: torch.Tensor, size: GridSize, estimate: Estimate) -> torch.Tensor:
    """How far each user's learned powers are believed, ``[batch times user]``, 0 to 1; else the first ones are.

    Clarke's spectrum is a safe guess. Where it foretells little, what powers promise beyond it rests on few looks at
    the spectrum, maybe on chance: there they must foretell the history's own ends first.
    """
    doppler_hz = history.max_doppler_hz.flatten().double()
    weight = torch.ones_like(doppler_hz, dtype=history.h.real.dtype)
    doubtful = (clarke_error(history.time_s.double(), time_s, doppler_hz) > _LARGEST_FORESEEN).nonzero().flatten()
    if not len(doubtful):
        return weight
    weights = []
    for past, rest in hold_out(history, doubtful, time_s):
        with torch.no_grad():
            both = _predictions(past, rest.time_s.double(), _offsets(history), size, estimate,
                                torch.ones_like(doubtful, dtype=torch.bool))
        weights.append(best_weight(*both, rest.h.flatten(0, 1)))
    smaller = torch.stack(weights).amin(0) if weights else weight.new_zeros(len(doubtful))
    return weight.index_put((doubtful,), smaller.to(weight.dtype))


def _predictions(history: Csi, time_s: torch.Tensor, target_hz: torch.Tensor, size: GridSize, estimate: Estimate,
                 also_first: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """By the first powers, for users where these are asked for, and by the estimated ones.

    :param also_first: bool, ``[batch times user]``.
    :returns: ``[batch times user, ue_ant, bs_ant, time, subcarrier]`` each.
    """
    first, learned, order = [], [], []
    for index, waves in by_size(history, size, time_s):
        estimated = waves.predict(*estimate(waves), time_s, target_hz)
        start = waves.predict(waves.first_power, waves.noise, time_s, target_hz) if also_first[index].any() \
            else estimated
        first.append(start)
        learned.append(estimated)
        order.append(index)
    back = torch.cat(order).argsort()
    panel, num_ue_antennas = history.panel, history.h.shape[2]
    return tuple(from_beams(torch.cat(part)[back], panel, num_ue_antennas)
                 for part in (first, learned))  # type: ignore[return-value]


def _per_user(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1, *(1,) * (like.ndim - 1))


def by_size(history: Csi, size: GridSize, time_s: torch.Tensor) -> Iterator[tuple[torch.Tensor, PlaneWaves]]:
    """The users' plane waves, in groups whose grids are alike in size, so that none depends on the others.

    :param size: of the grids at least.
    :param time_s: to be predicted, ``[horizon]``, float64.
    :returns: indices into the flattened ``[batch, user]``, and their plane waves.
    :raises ValueError: subcarriers that are not evenly spaced.
    """
    times_s = history.time_s.double()
    max_doppler_hz, noise_variance = history.max_doppler_hz.flatten().double(), history.noise_variance.flatten()
    correlation = temporal_correlation(times_s[:, None] - times_s, max_doppler_hz[:, None, None])
    energy, directions = torch.linalg.eigh(correlation)
    rank = (energy > _LEAST_TIME_SHARE * len(times_s)).sum(-1)
    num_dopplers, aliased = num_doppler_cells(max_doppler_hz, times_s, time_s, size.num_dopplers)
    y = _to_beams(history.h.flatten(0, 1), history.panel)
    precise = noise_variance < _LEAST_SINGLE_NOISE * _power(y)
    kinds = torch.stack([rank, num_dopplers, aliased, precise], -1)
    for kind in kinds.unique(dim=0):
        doubled = torch.complex128 if kind[3] else y.dtype
        for index in (kinds == kind).all(-1).nonzero().flatten().split(_USERS_AT_ONCE):
            doppler = doppler_cells(max_doppler_hz[index], times_s, int(kind[1]), bool(kind[2]))
            reduction = directions[index, :, -int(kind[0]):]
            for part, waves in _plane_waves(y[index].to(doubled), history, noise_variance[index], reduction, doppler,
                                            size):
                yield index[part], waves


def from_beams(h: torch.Tensor, panel: Panel, num_ue_antennas: int) -> torch.Tensor:
    """``[user, beam, snapshot, time, subcarrier]`` to ``[user, ue_ant, bs_ant, time, subcarrier]``."""
    by_panel = h.transpose(1, 2).unflatten(2, panel.shape[1:]).unflatten(1, (num_ue_antennas, panel.polarizations))
    return torch.fft.ifft2(by_panel, dim=(3, 4), norm="ortho").flatten(2, 4)


def _to_beams(h: torch.Tensor, panel: Panel) -> torch.Tensor:
    """``[user, ue_ant, bs_ant, time, subcarrier]`` to ``[user, beam, snapshot, time, subcarrier]``."""
    by_panel = torch.fft.fft2(h.unflatten(2, panel.shape), dim=(3, 4), norm="ortho")
    return by_panel.flatten(3, 4).flatten(1, 2).transpose(1, 2)


def _power(y: torch.Tensor) -> torch.Tensor:
    """Mean square of each user's entries."""
    return torch.view_as_real(y).square().sum(-1).mean((1, 2, 3, 4))


def _joined(by_beams: list[torch.Tensor]) -> torch.Tensor:
    """``[user, beam, ...]`` of all beams; one part stays as it lies in memory, so that sums over it round alike."""
    return by_beams[0] if len(by_beams) == 1 else torch.cat(by_beams, 1)


def _plane_waves(y: torch.Tensor, history: Csi, noise_variance: torch.Tensor, directions: torch.Tensor,
                 doppler: DopplerCells, size: GridSize) -> Iterator[tuple[torch.Tensor, PlaneWaves]]:
    """Users whose Doppler cells are alike in number, in parts whose delays are so, too.

    :param y: ``[user, beam, snapshot, time, subcarrier]``.
    :param directions: of time, ``[user, time, direction]``, float64.
    """
    offset_hz = _offsets(history)
    delay_s = delay_cells(offset_hz)
    num_beams, num_tones = y.shape[1], len(offset_hz)
    power = _power(y)
    scale = torch.where(power > 0, power, 1.0).sqrt()
    y = y / scale[:, None, None, None, None]
    noise = (noise_variance / scale.square()).clamp(_RELATIVE_NOISE_FLOOR, 1.0)
    reduced = directions.mT.to(y.dtype)[:, None, None] @ y  # [user, beam, snapshot, direction, subcarrier]

    samples = reduced.flatten(2, 3).mT.flatten(0, 1)  # [user and beam, subcarrier, sample]
    covariance = (samples @ samples.mH / samples.shape[-1]).to(torch.complex128)
    spacing_hz = float(offset_hz[-1]) / max(num_tones - 1, 1)
    profile = estimate_delay_profile(covariance, noise.double().repeat_interleave(num_beams), spacing_hz, delay_s)
    beam_power = torch.view_as_real(y).square().sum(-1).mean((2, 3, 4)) - noise[:, None]
    beam_power = torch.maximum(beam_power, _LEAST_BEAM_POWER * noise[:, None])
    profile = profile.unflatten(0, (-1, num_beams)).to(beam_power.dtype)
    profile = profile / profile.sum(-1, keepdim=True).clamp_min(torch.finfo(profile.dtype).tiny)
    profile = profile * beam_power[..., None]

    tones = polar(-2 * math.pi * offset_hz[:, None] * delay_s)
    total = profile.sum(1)
    energy, basis = torch.linalg.eigh((tones * total[:, None].double()) @ tones.mH)
    num_delays, num_directions = delay_sizes(total.double(), energy, noise.double(), size)
    in_time = (directions.mT.to(torch.complex128) @ doppler.waves(history.time_s.double())).to(y.dtype)
    tones = tones.to(y.dtype)
    for kind in torch.stack([num_delays, num_directions], -1).unique(dim=0).tolist():
        same = ((num_delays == kind[0]) & (num_directions == kind[1])).nonzero().flatten()
        num_waves = num_beams * doppler.share.shape[-1] * kind[0]
        for user in same.split(min(max(_WAVES_AT_ONCE // num_waves, 1), _USERS_AT_ONCE)):
            directions_hz = basis[user, :, -kind[1]:].to(y.dtype)
            kept = total[user].topk(kind[0], -1).indices.sort(-1).values
            first = profile[user].gather(-1, kept[:, None].expand(-1, num_beams, -1))
            if doppler.alias_share is None:  # alike in all cells
                first = (first / doppler.share.shape[-1])[:, :, None].expand(-1, -1, doppler.share.shape[-1], -1)
            else:
                first = first[:, :, None] * doppler.share[user, None, :, None].to(first.dtype)
            observed = (reduced[user] @ directions_hz.conj()[:, None, None]).flatten(3).mT
            in_frequency = directions_hz.mH @ tones.mT[kept].mT
            single = noise_variance.dtype
            restored = torch.where(power > 0, scale, 0.0)[user].to(single)
            yield user, PlaneWaves(observed, noise[user].to(single), restored, first.to(single), delay_s[kept],
                                   doppler.of(user), in_time[user], in_frequency)


def _offsets(history: Csi) -> torch.Tensor:
    """Subcarriers relative to the first, Hz, float64."""
    offset_hz = history.frequency_hz.double() - history.frequency_hz[0].double()
    if len(offset_hz) > 1 and not torch.allclose(offset_hz.diff(), offset_hz[1], rtol=1e-3):
        raise ValueError("plane waves need evenly spaced subcarriers, but the history has "
                         f"{history.frequency_hz.tolist()} Hz")
    return offset_hz
