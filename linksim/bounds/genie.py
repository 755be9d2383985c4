"""The floor under every predictor: LMMSE with the geometry of the drop known and only ray phases unknown.

The history is y = A x + n with one column of A per ray and polarisation component, x of unit variance and
uncorrelated (independent uniform phases), so the best linear estimate of the future h = B x is

    h_hat = B (A^H A + sigma^2 I)^-1 A^H y.

A is a Khatri-Rao product (antennas x times x subcarriers), so A^H A is an entrywise product of small Gram
matrices and A itself is never formed.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from linksim.channel.drops import Band, Drops
from linksim.channel.rays import Rays
from linksim.core.csi import Csi, Observation
from linksim.mimo.phasor import phasor, unit_phasor

_FLOOR = 1e-10
"""Noise below this fraction of a user's gain is raised to it: a noiseless history needs some loading."""


def genie_lmmse(drops: Drops, observation: Observation) -> Csi:
    """LMMSE prediction of the downlink future from what the base station receives, geometry known.

    Unlike a `Predictor` it is told every ray's delay, angles, Doppler and power; phases stay unknown. With
    independent downlink phases nothing about the future can be learnt and the estimate is zero.

    :param drops: truth and rays.
    :param observation: the raw noisy uplink samples of every antenna port.
    :returns: the estimate on the future's grid.
    """
    if drops.downlink_rays is not drops.uplink_rays:
        return drops.future.with_h(torch.zeros_like(drops.future.h))
    return _prediction(drops, observation, drops.uplink_rays, drops.uplink, drops.history.time_s)


def genie_lmmse_reports(drops: Drops, observation: Observation, num_arrived: int) -> Csi:
    """LMMSE prediction of the downlink future from what the terminals estimate of the downlink, geometry known.

    It bounds every method whose reports tell the channel, as if a report could have any number of bits and lost none.

    :param drops: truth and rays.
    :param observation: the terminals' raw noisy samples of the downlink history.
    :param num_arrived: the first samples of the history, whose reports have arrived.
    :returns: the estimate on the future's grid.
    """
    arrived = replace(observation, h=observation.h[..., :num_arrived, :])
    return _prediction(drops, arrived, drops.downlink_rays, drops.downlink, drops.history.time_s[:num_arrived])


def _prediction(drops: Drops, observation: Observation, rays: Rays, band: Band, past_s: torch.Tensor) -> Csi:
    """From samples of these rays in this band."""
    target = drops.future
    h = torch.empty_like(target.h)
    for user in range(h.shape[1]):
        a = ray_factors(rays, user, band, past_s, drops.reference_hz)
        b = ray_factors(rays, user, drops.downlink, target.time_s, drops.reference_hz)
        for drop in range(h.shape[0]):
            h[drop, user] = _one_link(
                [factor[drop] for factor in a], [factor[drop] for factor in b],
                observation.h[drop, user], observation.mask[user], float(observation.noise_variance[drop, user]),
            ).to(h.dtype)
    return target.with_h(h)


def ray_factors(rays: Rays, user: int, band: Band, time_s: torch.Tensor, reference_hz: float
             ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The three factors of A for one user of every drop.

    :returns: antennas ``[drop, ue_ant, bs_ant, column]``, times ``[drop, time, column]``, subcarriers
        ``[drop, subcarrier, column]``, double precision.
    :raises ValueError: a band with beam squint.
    """
    if band.beam_squint:
        raise ValueError("with beam squint, antennas and subcarriers are no factors of their own")
    one = rays.map_links(lambda tensor: tensor[:, user])
    ue, bs = (part.to(torch.complex128) for part in one.steering(band.carrier_hz))
    amplitude = one.amplitude.double()
    coupling = one.coupling.double()
    specular = one.is_specular
    diffuse_ue, diffuse_bs = ue[:, ~specular], bs[:, ~specular]
    weight = amplitude[:, ~specular, None, None] * coupling[:, ~specular]
    if len(rays.ue.layout.port_m) == 1:
        # one UE polarisation: both arriving components reach every antenna alike and merge into one unknown
        steer = _unit_phase(diffuse_ue)
        merged = (weight.square() * diffuse_ue[:, :, :1].abs().square().mT).sum(-2).sqrt()
        antennas = torch.einsum("drn,drj,drmj->dnmrj", steer, merged.to(steer), diffuse_bs).flatten(-2)
        repeat = 2
    else:
        antennas = torch.einsum("drni,drij,drmj->dnmrij", diffuse_ue, weight.to(bs), diffuse_bs).flatten(-3)
        repeat = 4
    transfer = torch.polar(coupling[:, specular], one.phase[:, specular].double())
    line = torch.einsum("dr,drni,drij,drmj->dnmr", amplitude[:, specular].to(bs), ue[:, specular], transfer,
                        bs[:, specular])

    def columns(rate: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        factor = phasor(2 * torch.pi * rate, grid).to(torch.complex128)  # [drop, grid, ray]
        return torch.cat([factor[..., ~specular].repeat_interleave(repeat, -1), factor[..., specular]], -1)

    return (torch.cat([antennas, line], -1), columns(one.doppler_hz(band.carrier_hz), time_s),
            columns(-one.delay_s, band.frequency_hz - reference_hz))


def _unit_phase(ue: torch.Tensor) -> torch.Tensor:
    """Array phases of ``[..., antenna, component]`` relative to the first antenna, patterns removed."""
    strongest = ue.abs().argmax(-1, keepdim=True)
    value = ue.gather(-1, strongest).squeeze(-1)
    return unit_phasor((value * value[..., :1].conj()).angle())


def _one_link(a: list[torch.Tensor], b: list[torch.Tensor], y: torch.Tensor, mask: torch.Tensor,
              noise_variance: float) -> torch.Tensor:
    """``[ue_ant, bs_ant, time, subcarrier]`` estimate from an observation of that shape (history's grid)."""
    antennas, times, tones = a
    used = antennas.abs().square().sum((0, 1)) > 0
    antennas, times, tones = antennas[..., used], times[:, used], tones[:, used]
    gram, matched = antennas.new_zeros(times.shape[-1], times.shape[-1]), antennas.new_zeros(times.shape[-1])
    y = y.to(antennas.dtype)
    for n, ports in enumerate(antennas):
        seen = tones[mask[n]]
        # in place: these matrices are the cost of the whole bound
        gram += (ports.mH @ ports).mul_(times.mH @ times).mul_(seen.mH @ seen)
        inner = (y[n][:, :, mask[n]] @ seen.conj()).mul_(times.conj())  # [bs_ant, time, column]
        matched += (inner.sum(1) * ports.conj()).sum(0)
    loading = max(noise_variance, _FLOOR * float(gram.diagonal().real.sum()) / y.numel())
    gram.diagonal().add_(loading)
    x = torch.cholesky_solve(matched.unsqueeze(-1), torch.linalg.cholesky(gram)).squeeze(-1)
    antennas, times, tones = (factor[..., used] for factor in b)
    spread = torch.einsum("nmc,tc->nmtc", antennas * x, times)
    return torch.einsum("nmtc,kc->nmtk", spread, tones)
