"""From traced paths to the rays that linksim computes channels from: arrays, orientations and motion put on."""

from __future__ import annotations

import math

import torch

from linksim.channel.antenna_arrays import array_end, bs_panel, ue_panel
from linksim.channel.ray_traced.site import site_of
from linksim.channel.ray_traced.table import PathTable
from linksim.channel.rays import Rays
from linksim.core.seeding import generator, stream_seed
from linksim.scenario.channel import Channel


def rays_at(table: PathTable, which: torch.Tensor, channel: Channel, seed: int, device: str = "cpu") -> Rays:
    """Rays of users at positions of a table, upright, turned at random and moving horizontally at the given speed.

    :param which: ``[batch, user]``, positions.
    :param seed: decides headings and orientations.
    :returns: rays of ``[batch, user]`` links, normalised as the channel asks.
    """
    heading, turned = (2 * math.pi * torch.rand(which.shape, generator=generator(stream_seed(seed, name)),
                                                dtype=torch.float64) for name in ("headings", "orientations"))
    return normalized(to_rays(table, which, channel, heading, turned, device), channel.normalization)


def to_rays(table: PathTable, which: torch.Tensor, channel: Channel, heading: torch.Tensor, turned: torch.Tensor,
            device: str = "cpu") -> Rays:
    """The same with directions of motion and orientations given, and gains as traced.

    Every path is a path of one ray, whose four polarisation components share one unknown phase.

    :param heading: ``[batch, user]``, direction of motion, radian counterclockwise from the x axis.
    :param turned: the same for the orientation of the terminals.
    """
    dtype = torch.float64 if channel.precision == "double" else torch.float32
    carrier_hz = channel.carrier_frequency_ghz * 1e9
    here = table.at(which)
    gain = here.path_gain
    amplitude = gain.double().sqrt()
    delay_s = here.delay_s.double()
    # in double precision: a path of 300 m is thousands of wavelengths long
    phase = here.transfer.angle().double() - 2 * math.pi * torch.remainder(delay_s * carrier_hz, 1)[..., None, None]
    used = gain > 0
    if channel.ray_traced.synchronized:
        delay_s = delay_s - torch.where(used, delay_s, torch.inf).amin(-1, keepdim=True)
    delay_s = torch.where(used, delay_s, 0)
    coupling = here.transfer.abs().double() / torch.where(used, amplitude, 1)[..., None, None]

    def moved(values: torch.Tensor) -> torch.Tensor:
        return values.to(device, dtype)

    nought = torch.zeros_like(turned)
    ue_turn = torch.stack([turned, nought, nought], -1)
    down = math.radians(channel.bs_array.downtilt_deg)
    facing = math.radians(site_of(channel.ray_traced).azimuth_deg)
    bs_turn = torch.tensor([facing, down, 0.0]).double().expand_as(ue_turn)
    ue_array = ue_panel(channel.ue_array, carrier_hz, device, channel.precision)
    bs_array = bs_panel(channel.bs_array, carrier_hz, device, channel.precision)
    ue, bs = (array_end(array, moved(turn), *moved(angles).unbind(-1), rotation)
              for array, turn, angles in ((ue_array, ue_turn, here.arrival), (bs_array, bs_turn, here.departure)))
    speed_m_s = channel.speed_kmh / 3.6
    velocity = moved(speed_m_s * torch.stack([heading.cos(), heading.sin(), nought], -1))
    num_rays = amplitude.shape[-1]
    return Rays(
        amplitude=moved(amplitude), path_delay_s=moved(delay_s),
        velocity_projection_m_s=(ue.direction @ velocity.unsqueeze(-1)).squeeze(-1),
        coupling=moved(coupling), phase=moved(torch.remainder(phase + math.pi, 2 * math.pi) - math.pi),
        ue=ue, bs=bs, large_scale_gain=moved(here.total_gain), line_of_sight=here.line_of_sight.to(device),
        speed_m_s=moved(torch.full_like(turned, speed_m_s)), position_user_m=moved(here.position_m),
        position_bs_m=moved(here.bs_position_m.expand_as(here.position_m)),
        is_specular=torch.ones(num_rays, dtype=torch.bool, device=device), path_lengths=(1,) * num_rays,
    )


def normalized(rays: Rays, normalization: str) -> Rays:
    """Unit average gain over the phases of the paths and over antennas, of each user or of a drop's users together.

    Unlike in a model, the polarisation components of a path keep their phases to each other.
    """
    if normalization == "none":
        return rays
    gain = mean_gain(rays)
    if normalization == "drop":
        gain = gain.mean(1, keepdim=True).expand_as(gain)
    return rays.scaled(1 / gain)


def mean_gain(rays: Rays) -> torch.Tensor:
    """Gain averaged over the phases of the paths and over antennas, ``[*links]``."""
    transfer = torch.polar(rays.coupling, rays.phase)
    ue, bs = (end.field.to(transfer.dtype) for end in (rays.ue, rays.bs))
    ports = torch.einsum("...rni,...rij,...rmj->...rnm", ue, transfer, bs)
    return (rays.amplitude.square() * ports.abs().square().mean((-2, -1))).sum(-1)


def rotation(turn: torch.Tensor) -> torch.Tensor:
    """Rotation matrices ``[..., 3, 3]`` of orientations (bearing, downtilt, slant), TR 38.901 eq. 7.1-4."""
    (ca, cb, cc), (sa, sb, sc) = turn.cos().unbind(-1), turn.sin().unbind(-1)
    rows = [ca * cb, ca * sb * sc - sa * cc, ca * sb * cc + sa * sc,
            sa * cb, sa * sb * sc + ca * cc, sa * sb * cc - ca * sc,
            -sb, cb * sc, cb * cc]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))
