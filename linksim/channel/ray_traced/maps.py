"""What stands around a base station: a map of heights in its own axes, ahead of its panel."""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache

import numpy as np
import torch

from linksim.channel.ray_traced.area import VERSION, make_area
from linksim.channel.ray_traced.site import site_of
from linksim.channel.ray_traced.table import understood
from linksim.channel.rays import Rays
from linksim.core.cache import cached_tensors
from linksim.core.places import Places
from linksim.scenario.channel import Channel
from linksim.scenario.ray_traced import PROCEDURAL, RayTraced

CELL_M = 4.0
"""Side of a cell."""

CELLS = 128
"""Cells of each side of the map."""

BEHIND_M = 104.0
"""How far the map reaches behind the base station; the rest lies ahead. To both sides it reaches equally far."""

_FORMAT = 1


def cell_centres() -> tuple[np.ndarray, np.ndarray]:
    """Metres ahead of the base station and to its left of every cell, ``[row, column]``: columns lead ahead, rows to
    the left."""
    ahead = (np.arange(CELLS) + 0.5) * CELL_M - BEHIND_M
    left = (np.arange(CELLS) + 0.5 - CELLS / 2) * CELL_M
    return np.broadcast_to(ahead, (CELLS, CELLS)), np.broadcast_to(left[:, None], (CELLS, CELLS))


def corners(options: RayTraced) -> tuple[np.ndarray, np.ndarray]:
    """East and north of the corners of all cells, seen from the base station in the scene's axes, m,
    ``[row + 1, column + 1]`` each."""
    ahead = np.arange(CELLS + 1) * CELL_M - BEHIND_M
    left = (np.arange(CELLS + 1) - CELLS / 2) * CELL_M
    x, y = to_scene(options, *np.broadcast_arrays(ahead, left[:, None]))
    return x - site_of(options).position_m[0], y - site_of(options).position_m[1]


def height_map(options: RayTraced) -> torch.Tensor:
    """Heights above the lowest ground, m, ``[row, column]`` float32; see `cell_centres`. Nothing is known outside the
    scene, and given as 0.

    :param options: of one scene or area. Scenes are looked at from above once, by Sionna RT, and kept in the cache.
    :raises ScenarioError: it has to be made, and cannot be.
    """
    x, y = to_scene(options, *cell_centres())
    if options.imported:
        from linksim.channel.ray_traced.imported_tables import imported_height_map  # start-up

        return torch.from_numpy(imported_height_map(options, x, y)).float()
    if options.scene == PROCEDURAL:
        return torch.from_numpy(make_area(options.first_area).height_m(x, y)).float()
    known = options.scene
    if options.of_user:
        from linksim.channel.ray_traced.digest import digest_of_scene  # start-up

        known = options.scene_sha256 or digest_of_scene(options)
    text = json.dumps([_FORMAT, VERSION, CELL_M, CELLS, BEHIND_M, known, list(site_of(options).position_m[:2]),
                       site_of(options).azimuth_deg])
    name = f"height_maps-{_FORMAT}/{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"

    def seen() -> dict[str, torch.Tensor]:
        from linksim.channel.ray_traced.scene import heights  # optional

        return {"height_m": torch.from_numpy(heights(options, x, y)).float()}

    def read() -> torch.Tensor:
        height_m = cached_tensors(name, seen)["height_m"]
        if height_m.shape != (CELLS, CELLS) or not height_m.isfinite().all():
            raise ValueError(f"height_m is {list(height_m.shape)}, or not finite")
        return height_m

    return understood(name, read)


def to_scene(options: RayTraced, ahead: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the base station's axes to the scene's, m."""
    turn = math.radians(site_of(options).azimuth_deg)
    x, y, _ = site_of(options).position_m
    return x + ahead * math.cos(turn) - left * math.sin(turn), y + ahead * math.sin(turn) + left * math.cos(turn)


def from_scene(azimuth_deg: float, offset_m: torch.Tensor) -> torch.Tensor:
    """Offsets from the base station, ``[..., 3]``, from the scene's axes to ahead, left and up."""
    turn = math.radians(azimuth_deg)
    x, y, z = offset_m.unbind(-1)
    return torch.stack([x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn), z], -1)


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
