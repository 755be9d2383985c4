"""Places of the terminals of ray-traced drops, with the maps of the areas they stand in."""

from __future__ import annotations

from functools import lru_cache

import torch

from linksim.channel.ray_traced.maps import from_scene, height_map
from linksim.channel.ray_traced.site import site_of
from linksim.channel.rays import Rays
from linksim.core.places import Places
from linksim.scenario.channel import Channel
from linksim.scenario.ray_traced import RayTraced


def places_of_rays(rays: Rays, channel: Channel, area: torch.Tensor | None = None) -> Places:
    """Where the terminals of drops stand, by the drops' rays.

    :param channel: that the drops are of.
    :param area: number of the procedural area of each link, where there are several.
    :raises ScenarioError: a map that has to be made and cannot be.
    """
    options = channel.ray_traced
    offset = from_scene(site_of(options).azimuth_deg, rays.position_user_m - rays.position_bs_m)
    which = torch.zeros_like(rays.line_of_sight, dtype=torch.long) if area is None else area - options.first_area
    return Places(
        offset_m=offset.float(), bs_height_m=rays.position_bs_m[..., 2].float(),
        gain_db=10 * rays.large_scale_gain.log10().float(), line_of_sight=rays.line_of_sight,
        height_map=which, maps=maps_of(options).to(offset.device),
    )


@lru_cache(maxsize=8)
def maps_of(options: RayTraced) -> torch.Tensor:
    """Heights around the base station of every area, ``[area, row, column]``, metres; see `height_map`.

    :raises ScenarioError: they have to be made, and cannot be.
    """
    return torch.stack([height_map(one) for one in options.areas])
