"""Drops of Sionna's 3GPP models."""

from __future__ import annotations

from linksim.channel.drops import Drops, drops_of_rays
from linksim.channel.statistical.sionna_models import draw_rays
from linksim.core.seeding import sionna_seed
from linksim.scenario.channel import Channel


def draw_drops(channel: Channel, batch_size: int, seed: int, device: str = "cpu") -> Drops:
    """Draw a chunk of drops.

    :param channel: what to draw.
    :param batch_size: drops; another batch size gives other drops for the same seed.
    :param seed: of this chunk, see `linksim.core.seeding.stream_seed`.
    :param device: torch device.
    """
    with sionna_seed(seed):
        rays = draw_rays(channel, batch_size, device, channel.precision)
    return drops_of_rays(channel, rays, seed)
