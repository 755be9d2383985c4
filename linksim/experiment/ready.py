"""What a run needs before its first drop and before it writes anything: the path tables of ray-traced scenes."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from linksim.core.heartbeat import doing
from linksim.core.printing import say
from linksim.scenario.channel import Channel
from linksim.scenario.points import point_scenario, simulated_points
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Scenario

_LEARNED_FROM = ("training", "validation")


def make_channels_ready(scenario: Scenario, console: Console) -> None:
    """Trace the scenes of a scenario that no table is kept of, saying so.

    :raises ScenarioError: a scene cannot be traced, or has too few positions.
    :raises StoreError: the cache folder cannot be written.
    """
    wanted = [(channel, split) for channel, split in _wanted(scenario) if channel.source == "ray_traced"]
    if not wanted:
        return
    from linksim.channel.ray_traced.drops import chosen_positions
    from linksim.channel.ray_traced.path_tables import path_table
    from linksim.channel.ray_traced.places import maps_of
    from linksim.channel.ray_traced.tracks import chosen_tracks

    for channel, split in dict.fromkeys(wanted):
        with doing(f"making {channel.ray_traced.title} ready"):
            if channel.ray_traced.track_spacing_m is not None:
                chosen_tracks(channel, split, partial(say, console))
                continue
            path_table(channel, partial(say, console))
            chosen_positions(channel, split)
            if any(method.universal for method in scenario.methods):
                maps_of(channel.ray_traced)


def _wanted(scenario: Scenario) -> list[tuple[Channel, str]]:
    """Channels that drops are taken of, each with the set they are from."""
    wanted = [(point_scenario(scenario, point).channel, "test") for point in simulated_points(scenario)]
    if not any(block.is_trained for method in resolve(scenario).methods for block in method.blocks):
        return wanted
    from linksim.training.preparation import channels_of, parts_of

    return wanted + [(channel, split) for channel in channels_of(parts_of(scenario)) for split in _LEARNED_FROM]
