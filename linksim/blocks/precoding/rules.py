"""What precoders need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linksim.core.errors import ScenarioError

if TYPE_CHECKING:
    from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario


def null_space(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Block diagonalisation: every user's streams fit into the null space of all the others' antennas."""
    channel, streams = scenario.channel, scenario.link.num_streams_per_user
    others = (channel.num_users - 1) * channel.ue_array.num_antennas
    if others and channel.bs_array.num_antennas < others + streams:
        raise ScenarioError(
            f"block diagonalisation of {channel.num_users} users x {channel.ue_array.num_antennas} antennas needs "
            f"{others + streams} antennas at the base station ({others} of the other users, {streams} "
            f"{'streams' if streams > 1 else 'stream'}), but channel.bs_array has {channel.bs_array.num_antennas}: "
            "take rzf or zf, fewer users or a larger panel")
