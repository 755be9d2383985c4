"""linksim's engine: recorded rays, and the response summed from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from sionna.phy.channel.tr38901 import circular_angular_spread, rms_delay_spread

from linksim.channel.rays import Rays
from linksim.channel.response import frequency_response
from linksim.channel.statistical.sionna_rays import sample_rays
from studies.calibration.setups import Setup, prb_hz

NOW_S = torch.zeros(1, dtype=torch.float64)


class LinksimDraw:
    """A `studies.calibration.draw.Draw` of linksim.

    :param model: an unmodified Sionna model with its topology set; rays are drawn with Sionna's current random state.
    :param sample: takes the rays of a model, for tests that put another engine in its place.
    :param respond: sums rays to the channel, likewise.
    """

    def __init__(self, model: Any, setup: Setup, sample: Callable[[Any], Rays] = sample_rays,
                 respond: Callable[..., torch.Tensor] = frequency_response) -> None:
        self._setup, self._respond = setup, respond
        self._rays = sample(model)
        self._ports = setup.ports(model._scenario.bs_array)

    def line_of_sight(self) -> torch.Tensor:
        return self._rays.line_of_sight

    def line_of_sight_gain(self) -> torch.Tensor:
        return self._gain(line_of_sight_only(self._rays), torch.zeros(1, dtype=torch.float64))

    def mean_gain(self) -> torch.Tensor:
        return self._gain(self._rays, self._setup.tones_hz())

    def spreads(self, serving: torch.Tensor) -> dict[str, torch.Tensor]:
        rays = of_serving(self._rays, serving)
        power = rays.amplitude.double().square()
        azimuth_departure, zenith_departure = rays.departure_angles
        azimuth_arrival, zenith_arrival = rays.arrival_angles
        angles = {"asd_deg": azimuth_departure, "asa_deg": azimuth_arrival, "zsd_deg": zenith_departure,
                  "zsa_deg": zenith_arrival}
        found = {name: circular_angular_spread(angle.double(), power) for name, angle in angles.items()}
        return found | {"delay_spread_ns": rms_delay_spread(rays.delay_s.double(), power)}

    def singular_values_db(self, serving: torch.Tensor) -> torch.Tensor:
        rays = of_serving(self._rays, serving)
        h = self._respond(rays, self._setup.carrier_hz, NOW_S, prb_hz())[..., 0, :].to(torch.complex128)
        h = h.movedim(-1, -3)  # [batch, user, subcarrier, ue_ant, bs_ant]
        covariance = (h @ h.mH).mean(-3) / rays.large_scale_gain.double()[..., None, None]
        return 10 * torch.linalg.eigvalsh(covariance).flip(-1).clamp(min=torch.finfo(torch.float64).tiny).log10()

    def _gain(self, rays: Rays, offset_hz: torch.Tensor) -> torch.Tensor:
        h = self._respond(rays, self._setup.carrier_hz, NOW_S, offset_hz)  # [batch, bs, user, ue, bs_ant, 1, tone]
        h = torch.einsum("nbuamtk,mq->nbuaqtk", h, self._ports)
        return h.abs().square().mean((3, 4, 5, 6))


def of_serving(rays: Rays, serving: torch.Tensor) -> Rays:
    """Rays of the ``[batch, user]`` links to each terminal's own base station."""
    batch, user = torch.arange(len(serving)).unsqueeze(-1), torch.arange(serving.shape[1])
    return rays.map_links(lambda tensor: tensor[batch, serving, user])


def line_of_sight_only(rays: Rays) -> Rays:
    """The specular ray of every link, also of those whose line of sight is blocked, with the whole link's gain."""
    last = slice(-1, None)
    ends = {end: replace(getattr(rays, end), direction=getattr(rays, end).direction[..., last, :],
                         field=getattr(rays, end).field[..., last, :, :]) for end in ("ue", "bs")}
    return replace(
        rays, amplitude=rays.large_scale_gain.sqrt().unsqueeze(-1), path_delay_s=rays.path_delay_s[..., last],
        velocity_projection_m_s=rays.velocity_projection_m_s[..., last], coupling=rays.coupling[..., last, :, :],
        phase=rays.phase[..., last, :, :], is_specular=rays.is_specular[last], path_lengths=(1,), **ends,
    )
