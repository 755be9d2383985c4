"""Drops of users who stand at traced positions."""

from __future__ import annotations

from dataclasses import replace

import torch

from linksim.channel.drops import Drops, drops_of_rays
from linksim.channel.ray_traced.path_tables import path_table
from linksim.channel.ray_traced.rays import rays_at
from linksim.channel.ray_traced.split import drawn_positions, positions_of
from linksim.channel.ray_traced.table import PathTable, table_name
from linksim.channel.ray_traced.tracks import chosen_tracks, track_drops, way_m
from linksim.core.errors import ScenarioError
from linksim.core.seeding import generator, stream_seed
from linksim.scenario.channel import Channel
from linksim.scenario.ray_traced import RayTraced

_CHOSEN: dict[tuple, tuple[PathTable, PathTable]] = {}
"""Chosen before, with the whole table they are from."""


def ray_traced_drops(channel: Channel, batch_size: int, seed: int, device: str = "cpu", split: str = "test") -> Drops:
    """A chunk of drops: users at positions of one set, with headings and orientations of their own.

    :param seed: of the chunk: decides all that is random.
    :param split: ``test``, ``validation`` or ``training``.
    :raises ScenarioError: fewer positions than users; the table has to be traced, and cannot be.
    """
    if channel.ray_traced.track_spacing_m is not None:
        return track_drops(channel, batch_size, seed, device, split)
    table = chosen_positions(channel, split)
    stream = generator(stream_seed(seed, "positions"))
    which = drawn_positions(len(table), batch_size, channel.num_users, stream, table.area)
    drops = drops_of_rays(channel, rays_at(table, which, channel, seed, device), seed)
    return drops if table.area is None else replace(drops, area=table.area[which].to(device))


def chosen_positions(channel: Channel, split: str) -> PathTable:
    """The part of a channel's table that a set of drops is drawn from.

    :raises ScenarioError: fewer positions than users in a drop.
    """
    key = (table_name(channel), channel.ray_traced, channel.los, split)
    table, found = _CHOSEN.get(key, (None, None))
    if table is not path_table(channel):
        table = path_table(channel)
        found = _chosen(table, channel.ray_traced, channel.los, split)
        _CHOSEN[key] = (table, found)
    most = len(found) if found.area is None or not len(found) else int(found.area.unique(return_counts=True)[1].max())
    if most < channel.num_users:
        raise ScenarioError(
            f"channel.ray_traced: {most} positions for {split} in {channel.ray_traced.title} "
            f"(los: {channel.los}), too few for channel.num_users = {channel.num_users}: a larger radius_m, a finer "
            "grid_spacing_m or a lower min_path_gain_db gives more")
    return found


def table_note(channel: Channel) -> str:
    """Where test drops come from, for the manifest."""
    if channel.ray_traced.track_spacing_m is not None:
        ways = len(chosen_tracks(channel, "test"))
        return (f"{channel.ray_traced.title} at {channel.carrier_frequency_ghz:g} GHz: drops take {way_m(channel):.1f} "
                f"m of {ways} ways along streets")
    table, count = path_table(channel), len(chosen_positions(channel, "test"))
    tracer = table.about.get("traced_by") or f"sionna-rt {table.about.get('sionna_rt')}"
    return (f"{channel.ray_traced.title} at {channel.carrier_frequency_ghz:g} GHz: {len(table)} positions with a path, "
            f"traced by {tracer}; drops stand on {count} of them")


def _chosen(table: PathTable, options: RayTraced, los: str, split: str) -> PathTable:
    area = None if table.area is None else table.area.numpy()
    keep = torch.from_numpy(positions_of(split, table.position_m.numpy(), options, area))
    keep &= table.total_gain >= 10 ** (options.min_path_gain_db / 10)
    if los != "mixed":
        keep &= table.line_of_sight == (los == "los")
    return table.at(keep).limited(options.max_paths, options.path_range_db)
