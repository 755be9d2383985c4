"""Terminals that walk along streets: paths traced again and again on their way, where a model would keep them.

A way is straight, along the direction in which the street is free for longest. Between two traced points the phases of
the nearer one's paths turn as the terminal moves; paths appear and vanish as it goes on.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from linksim.channel.drops import Drops, bands, drops_of_rays, time_grid
from linksim.channel.ray_traced.rays import mean_gain, to_rays
from linksim.channel.ray_traced.split import drawn_positions, positions_of
from linksim.channel.ray_traced.table import PathTable, table_name, understood
from linksim.channel.rays import Rays
from linksim.core.cache import cached_tensors
from linksim.core.csi import Csi
from linksim.core.errors import ScenarioError
from linksim.core.files import cache_folder
from linksim.core.seeding import generator, stream_seed
from linksim.scenario.channel import Channel

_FORMAT = 1
_TABLES: dict[tuple[str, str], TrackTable] = {}


@dataclass(frozen=True)
class TrackTable:
    """Paths at every point of every way.

    :param paths: ``[way * point]``, a way's points in order; a point may have none.
    :param heading: ``[way]``, radian counterclockwise from the x axis.
    :param num_points: of a way.
    """

    paths: PathTable
    heading: torch.Tensor
    num_points: int

    def __len__(self) -> int:
        return len(self.heading)

    @property
    def start_m(self) -> torch.Tensor:
        """``[way, 3]``."""
        return self.paths.position_m[::self.num_points]

    def at(self, which: torch.Tensor) -> TrackTable:
        """Some of the ways, by number."""
        rows = which[:, None] * self.num_points + torch.arange(self.num_points)
        return TrackTable(self.paths.at(rows.flatten()), self.heading[which], self.num_points)


def way_m(channel: Channel) -> float:
    """How far a terminal gets from the first sample of the history to the last of the future."""
    past, future = time_grid(channel)
    return channel.speed_kmh / 3.6 * float(torch.cat([past, future])[-1])


def track_table(channel: Channel, say: Callable[[str], None]) -> TrackTable:
    """The ways of a channel: from the cache, traced at first.

    :raises ScenarioError: tracing is not possible here, or no street is free for so long.
    :raises StoreError: the cache folder cannot be written.
    """
    options = channel.ray_traced
    num_points = math.floor(way_m(channel) / options.track_spacing_m + 0.5) + 1
    text = json.dumps([_FORMAT, table_name(channel), options.track_spacing_m, options.num_tracks, num_points])
    name = f"tracks-{_FORMAT}/{options.scene if not options.of_user else 'scene'}-" \
           f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"
    key = (str(cache_folder()), name)
    if key not in _TABLES:
        def read() -> TrackTable:
            tensors = dict(cached_tensors(name, lambda: _traced(channel, num_points, say)))
            heading = tensors.pop("heading")
            paths = PathTable.from_tensors(tensors)
            if heading.shape != (len(paths) // num_points,) or len(paths) % num_points or not heading.isfinite().all():
                raise ValueError(f"{list(heading.shape)} headings of {len(paths)} points, {num_points} to a way")
            return TrackTable(paths, heading, num_points)

        _TABLES[key] = understood(name, read)
    return _TABLES[key]


def chosen_tracks(channel: Channel, split: str, say: Callable[[str], None] | None = None) -> TrackTable:
    """The ways of a set, dealt by where they begin.

    :raises ScenarioError: fewer than users in a drop.
    """
    table = track_table(channel, say or (lambda text: None))
    keep = positions_of(split, table.start_m.numpy(), channel.ray_traced)
    if keep.sum() < channel.num_users:
        raise ScenarioError(f"channel.ray_traced: {keep.sum()} ways for {split} in {channel.ray_traced.title}, too few "
                            f"for channel.num_users = {channel.num_users}: a larger num_tracks or radius_m gives more")
    return table.at(torch.from_numpy(keep).nonzero().flatten())


def track_drops(channel: Channel, batch_size: int, seed: int, device: str = "cpu", split: str = "test") -> Drops:
    """A chunk of drops of users on their ways; see `linksim.channel.ray_traced.drops.ray_traced_drops`.

    Gains are relative to the way's first point, so that shadowing shows. The rays of the drops are those of this point.
    """
    table = chosen_tracks(channel, split)
    which = drawn_positions(len(table), batch_size, channel.num_users, generator(stream_seed(seed, "positions")))
    turned = 2 * math.pi * torch.rand(which.shape, generator=generator(stream_seed(seed, "orientations")),
                                      dtype=torch.float64)
    at_point = [_rays_at(table, which, point, channel, turned, device) for point in range(table.num_points)]
    gain = mean_gain(at_point[0])
    if channel.normalization == "drop":
        gain = gain.mean(1, keepdim=True).expand_as(gain)
    if channel.normalization != "none":
        at_point = [rays.scaled(1 / gain) for rays in at_point]
    drops = drops_of_rays(channel, at_point[0], seed)
    return replace(drops, rays_stay=False, history=_walked(drops.history, at_point, channel),
                   future=_walked(drops.future, at_point, channel))


def _rays_at(table: TrackTable, which: torch.Tensor, point: int, channel: Channel, turned: torch.Tensor, device: str
             ) -> Rays:
    """Rays of users at a point of their ways, delays counted as on the whole way."""
    first = which * table.num_points
    options = channel.ray_traced
    absolute = channel.model_copy(update={"ray_traced": options.model_copy(update={"synchronized": False})})
    rays = to_rays(_limited(table.paths, options.max_paths), first + point, absolute, table.heading[which], turned,
                   device)
    if not options.synchronized:
        return rays
    begin = table.paths.at(first)
    base = torch.where(begin.path_gain > 0, begin.delay_s.double(), torch.inf).amin(-1, keepdim=True)
    return replace(rays, path_delay_s=rays.path_delay_s - base.to(rays.path_delay_s))


def _limited(paths: PathTable, max_paths: int) -> PathTable:
    return replace(paths, **{name: getattr(paths, name)[:, :max_paths]
                             for name in ("transfer", "delay_s", "departure", "arrival")})


def _walked(csi: Csi, at_point: list[Rays], channel: Channel) -> Csi:
    """The channel at its times, each from the point of the way that is nearest then."""
    speed, spacing = channel.speed_kmh / 3.6, channel.ray_traced.track_spacing_m
    uplink, _ = bands(channel)
    time_s = csi.time_s.double().cpu()
    nearest = (speed * time_s / spacing).round().long().clamp_max(len(at_point) - 1)
    h = csi.h.clone()
    for point in nearest.unique().tolist():
        here = nearest == point
        since = time_s[here] - (point * spacing / speed if speed else 0.0)
        h[..., here, :] = uplink.response(at_point[point], since.to(csi.h.device), uplink.carrier_hz)
    return csi.with_h(h)


def _traced(channel: Channel, num_points: int, say: Callable[[str], None]) -> dict[str, torch.Tensor]:
    from linksim.channel.ray_traced.runtime import import_sionna_rt  # optional
    from linksim.channel.ray_traced.scene import candidate_positions, free_ways, load_scene  # optional
    from linksim.channel.ray_traced.tracing import BATCH, trace_positions  # optional

    options, carrier_hz = channel.ray_traced, channel.carrier_frequency_ghz * 1e9
    rt = import_sionna_rt()
    scene = load_scene(options, carrier_hz)
    starts = candidate_positions(scene, options)
    order = np.random.default_rng(stream_seed(options.trace_seed, "tracks")).permutation(len(starts))
    length_m = (num_points - 1) * options.track_spacing_m
    heading, free_m = free_ways(scene, starts[order])
    able = np.flatnonzero(free_m > length_m + 1)[:options.num_tracks]
    if not len(able):
        raise ScenarioError(f"channel.ray_traced: no street of {options.title} is free for {length_m:.0f} m: shorten "
                            "the way (speed_kmh, csi_period_ms, num_history)")
    starts, heading = starts[order][able], heading[able]
    along = options.track_spacing_m * np.arange(num_points)[None, :, None]
    step = np.stack([np.cos(heading), np.sin(heading), np.zeros_like(heading)], -1)[:, None]
    points = (starts[:, None] + along * step).reshape(-1, 3)
    began, parts = time.monotonic(), []
    for first in range(0, len(points), BATCH):
        parts.append(trace_positions(rt, scene, options, carrier_hz, points[first:first + BATCH], keep_all=True))
        done = min(first + BATCH, len(points))
        if 10 * done // len(points) != 10 * first // len(points):
            say(f"tracing {len(able)} ways in {options.title}: {done} of {len(points)} points, about "
                f"{(time.monotonic() - began) / done * (len(points) - done):.0f} s left")
    table = PathTable.joined(parts, {"ways": len(able), "options": options.model_dump(mode="json")})
    reached = torch.arange(len(able))[(table.num_paths > 0).view(-1, num_points).all(1)]
    if not len(reached):
        raise ScenarioError(f"channel.ray_traced: no way in {options.title} has a path all along: move the base "
                            "station (position_m), or allow more (max_depth, diffraction)")
    kept = TrackTable(table, torch.from_numpy(heading), num_points).at(reached)
    say(f"traced {len(able)} ways in {options.title}, {len(reached)} of them with a path all along")
    return {**kept.paths.to_tensors(), "heading": kept.heading}
