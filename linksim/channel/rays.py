"""The rays behind a drop, as Sionna drew them, in the form that responses and bounds are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from sionna.phy import SPEED_OF_LIGHT


@dataclass(frozen=True)
class Rays:
    """Every ray of every link of a batch; unused rays have amplitude 0.

    The response of ray r between UE antenna n and BS antenna m is (TR 38.901 eq. 7.5-28 and 7.5-29)

    ``amplitude * field_ue[n]^T M field_bs[m] * steering * exp(j 2 pi doppler t) * exp(-j 2 pi delay f)``,
    ``M[i, j] = coupling[i, j] * exp(j phase[i, j])``.

    :param amplitude: ``[batch, user, ray]``, square root of the ray's power, large-scale gain included.
    :param delay_s: ``[batch, user, ray]``.
    :param velocity_projection_m_s: ``[batch, user, ray]``, speed towards the ray; over the wavelength, Doppler.
    :param coupling: ``[batch, user, ray, 2, 2]``, real, from BS to UE polarisation component (theta, phi).
    :param phase: ``[batch, user, ray, 2, 2]``, radian, initial phases.
    :param field_ue: ``[batch, user, ray, ue_polarization, 2]``, real field pattern; ``field_bs`` likewise.
    :param direction_ue: ``[batch, user, ray, 3]``, unit vector of arrival; ``direction_bs`` of departure.
    :param position_ue_m: ``[batch, user, ue_ant, 3]``, antenna positions, rotated to the ground's axes.
    :param position_bs_m: ``[batch, bs_ant, 3]``.
    :param polarization_ue: ``[ue_ant]``, index into ``field_ue``; ``polarization_bs`` likewise.
    :param is_specular: ``[ray]``, the line-of-sight ray: its components share one phase.
    :param line_of_sight: ``[batch, user]``, bool.
    :param speed_m_s: ``[batch, user]``.
    :param position_user_m: ``[batch, user, 3]``; the base station stands at the origin of x and y.
    """

    amplitude: torch.Tensor
    delay_s: torch.Tensor
    velocity_projection_m_s: torch.Tensor
    coupling: torch.Tensor
    phase: torch.Tensor
    field_ue: torch.Tensor
    field_bs: torch.Tensor
    direction_ue: torch.Tensor
    direction_bs: torch.Tensor
    position_ue_m: torch.Tensor
    position_bs_m: torch.Tensor
    polarization_ue: torch.Tensor
    polarization_bs: torch.Tensor
    is_specular: torch.Tensor
    line_of_sight: torch.Tensor
    speed_m_s: torch.Tensor
    position_user_m: torch.Tensor

    def mean_gain(self) -> torch.Tensor:
        """Gain averaged over the random phases and over antennas, ``[batch, user]``: no fading in it."""
        bs = self.field_bs[:, :, :, self.polarization_bs].square().mean(-2)
        ue = self.field_ue[:, :, :, self.polarization_ue].square().mean(-2)
        per_ray = torch.einsum("burij,buri,burj->bur", self.coupling.square(), ue, bs)
        return (self.amplitude.square() * per_ray).sum(-1)

    def scaled(self, gain: torch.Tensor) -> Rays:
        """The same rays with power multiplied by ``gain`` ``[batch, user]``."""
        return replace(self, amplitude=self.amplitude * gain.sqrt().unsqueeze(-1))

    def with_fresh_phases(self, generator: torch.Generator) -> Rays:
        """Same geometry and powers, new independent phases (one common phase for the specular ray)."""
        fresh = 2 * torch.pi * torch.rand(self.phase.shape, generator=generator).to(self.phase)
        common = fresh[..., :1, :1] + self.phase  # keeps the specular ray's sign between components
        return replace(self, phase=torch.where(self.is_specular[:, None, None], common, fresh))

    def steering(self, carrier_hz: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Array phases and field patterns of both ends.

        :returns: ``[batch, user, ray, ue_ant, 2]`` and ``[batch, user, ray, bs_ant, 2]``, complex.
        """
        wave_number = 2 * torch.pi * carrier_hz / SPEED_OF_LIGHT
        phase_ue = wave_number * torch.einsum("burx,bunx->burn", self.direction_ue, self.position_ue_m)
        phase_bs = wave_number * torch.einsum("burx,bmx->burm", self.direction_bs, self.position_bs_m)
        ue = torch.polar(torch.ones_like(phase_ue), phase_ue).unsqueeze(-1) \
            * self.field_ue[:, :, :, self.polarization_ue]
        bs = torch.polar(torch.ones_like(phase_bs), phase_bs).unsqueeze(-1) \
            * self.field_bs[:, :, :, self.polarization_bs]
        return ue, bs

    def doppler_phasor(self, carrier_hz: float, time_s: torch.Tensor) -> torch.Tensor:
        """exp(j 2 pi doppler t): ``[batch, user, ray, time]``, complex."""
        doppler_hz = self.velocity_projection_m_s * (carrier_hz / SPEED_OF_LIGHT)
        angle = 2 * torch.pi * doppler_hz.unsqueeze(-1) * time_s.to(doppler_hz)
        return torch.polar(torch.ones_like(angle), angle)

    def delay_phasor(self, offset_hz: torch.Tensor) -> torch.Tensor:
        """exp(-j 2 pi delay f): ``[batch, user, ray, subcarrier]``, complex; f from the reference carrier."""
        angle = -2 * torch.pi * self.delay_s.unsqueeze(-1) * offset_hz.to(self.delay_s)
        return torch.polar(torch.ones_like(angle), angle)


def frequency_response(rays: Rays, carrier_hz: float, time_s: torch.Tensor, offset_hz: torch.Tensor,
                       max_elements: int = 2**24) -> torch.Tensor:
    """Sum the rays to the channel on a grid of times and subcarriers.

    :param rays: of ``batch * user`` links.
    :param carrier_hz: sets wavelength and Doppler.
    :param time_s: ``[time]``.
    :param offset_hz: ``[subcarrier]``, from the carrier that the phases refer to.
    :param max_elements: bound on intermediate tensors; links are taken in blocks.
    :returns: ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
    """
    ue, bs = rays.steering(carrier_hz)
    transfer = rays.amplitude[..., None, None] * torch.polar(rays.coupling, rays.phase)
    batch, user, ray, ue_ant, _ = ue.shape
    bs_ant = bs.shape[3]
    # [link, ue_ant * bs_ant, ray]
    doppler = rays.doppler_phasor(carrier_hz, time_s).flatten(0, 1)
    delay = rays.delay_phasor(offset_hz).flatten(0, 1)
    ue, bs, transfer = ue.flatten(0, 1), bs.flatten(0, 1), transfer.flatten(0, 1)
    h = torch.empty(batch * user, ue_ant * bs_ant * len(time_s), len(offset_hz), dtype=delay.dtype,
                    device=delay.device)
    block = max(1, max_elements // (ray * ue_ant * bs_ant * len(time_s)))
    for start in range(0, batch * user, block):
        part = slice(start, start + block)
        spatial = (ue[part] @ transfer[part] @ bs[part].mT).flatten(2)  # [link, ray, ue_ant * bs_ant]
        moving = spatial.mT.unsqueeze(-2) * doppler[part].mT.unsqueeze(1)  # [link, ue*bs, time, ray]
        h[part] = moving.flatten(1, 2) @ delay[part]
    return h.reshape(batch, user, ue_ant, bs_ant, len(time_s), len(offset_hz))
