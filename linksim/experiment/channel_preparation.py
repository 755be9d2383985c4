"""What a run needs before its first drop and before it writes anything: the path tables of scenes, say."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from linksim.channel.source import Split, source_of
from linksim.core.heartbeat import doing
from linksim.core.printing import say
from linksim.scenario.channel import Channel
from linksim.scenario.points import point_scenario, simulated_points
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Scenario

_LEARNED_FROM: tuple[Split, ...] = ("training", "validation")


def prepare_channels(scenario: Scenario, console: Console) -> None:
    """Make ready what a scenario's drops are taken from, such as the scenes that no table is kept of, saying so.

    :raises ScenarioError: a scene cannot be traced, or has too few positions.
    :raises StoreError: the cache folder cannot be written.
    """
    with_places = any(method.universal for method in scenario.methods)
    for channel, split in dict.fromkeys(_wanted(scenario)):
        source = source_of(channel)
        with doing(f"making {source.title(channel)} ready"):
            source.prepare(channel, split, partial(say, console), with_places)


def _wanted(scenario: Scenario) -> list[tuple[Channel, Split]]:
    """Channels that drops are taken of, each with the set they are from."""
    wanted: list[tuple[Channel, Split]] = [
        (point_scenario(scenario, point).channel, "test") for point in simulated_points(scenario)]
    if not any(block.is_trained for method in resolve(scenario).methods for block in method.blocks):
        return wanted
    from linksim.training.preparation import channels_of, parts_of  # start-up

    return wanted + [(channel, split) for channel in channels_of(parts_of(scenario)) for split in _LEARNED_FROM]
