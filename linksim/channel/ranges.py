"""Ranges that numbers of a channel must lie in, each with who says so.

Channels from files have no such limits: whoever made them knows what they hold for.
"""

from __future__ import annotations

from typing import NamedTuple

from linksim.core.errors import ScenarioError
from linksim.scenario.channel import Channel


class Range(NamedTuple):
    """From where to where a number may lie, both included, and who says so."""

    least: float
    most: float
    said_by: str


_DRAWN = {
    "num_users": Range(1, 16, "drops of so many users are drawn"),
    "ue_array.num_antennas": Range(1, 64, "terminals of so many antennas are drawn"),
    "speed_kmh": Range(0, 500, "TR 38.901, 6.2: mobility up to 500 km/h"),
}


def check_drawn(channel: Channel, holder: str) -> None:
    """Whether users, terminals and speed are what is drawn, from models or traced paths.

    :param holder: of the ranges, for messages.
    :raises ScenarioError: they are not; ``key: message``, the key within ``channel``.
    """
    for key, limits in _DRAWN.items():
        value = channel.ue_array.num_antennas if key.startswith("ue_array") else getattr(channel, key)
        check_range(key, value, limits, holder)


def check_range(key: str, value: float, limits: Range, holder: str, what: str = "") -> None:
    """Whether a number lies in its range.

    :param what: it is, where its key does not say it.
    :raises ScenarioError: it does not; ``key: message``.
    """
    for broken, bound in ((value < limits.least, f"at least {limits.least:g}"),
                          (value > limits.most, f"at most {limits.most:g}")):
        if broken:
            raise ScenarioError(f"{key}: {what}must be {bound} for {holder} (given {value:g}; {limits.said_by}; "
                                "channels from files have no such limit)")
