"""Where traced channels hold, and what they cannot be asked for."""

from __future__ import annotations

from linksim.channel.ranges import Range, check_drawn, check_range
from linksim.core.errors import ScenarioError
from linksim.scenario.channel import Channel

_CARRIERS_GHZ = Range(1, 100, "materials are known there, ITU-R P.2040")


def check_ranges(channel: Channel) -> None:
    """Whether a channel lies where materials are known.

    :raises ScenarioError: it does not; ``key: message``, the key within ``channel``.
    """
    check_drawn(channel, "ray_traced")
    check_range("carrier_frequency_ghz", channel.carrier_frequency_ghz, _CARRIERS_GHZ, "ray_traced")


def check_test_positions(channel: Channel) -> None:
    """Whether something is left to test on, as far as the scenario tells.

    :raises ScenarioError: ``key: message``.
    """
    options = channel.ray_traced
    dealt, what = (options.num_areas, "areas") if options.split == "areas" else (
        options.positions_per_area if options.split == "random" else None, "positions")
    if dealt is not None and dealt * options.test_share < 0.5:
        raise ScenarioError(f"channel.ray_traced.test_share: {options.test_share:g} of {dealt} {what} leaves none for "
                            "test: use a larger share")


def check_rays_stay(channel: Channel) -> None:
    """On ways paths are traced anew.

    :raises ScenarioError: users take ways.
    """
    if channel.ray_traced.track_spacing_m is not None:
        raise ScenarioError("needs rays that stay, and paths are traced anew along the way: leave it out, or "
                            "channel.ray_traced.track_spacing_m")
