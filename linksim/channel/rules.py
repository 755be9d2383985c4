"""Where channels that are drawn or traced hold: ranges of TR 38.901's models and of traced materials.

Channels from files have no such limits: whoever made them knows what they hold for.
"""

from __future__ import annotations

from typing import NamedTuple

from linksim.core.errors import ScenarioError
from linksim.scenario.channel import Channel


class _Range(NamedTuple):
    """From where to where a number may lie, both included, and who says so."""

    least: float
    most: float
    source: str


_DRAWN = {
    "num_users": _Range(1, 16, "drops of so many users are drawn"),
    "ue_array.num_antennas": _Range(1, 64, "terminals of so many antennas are drawn"),
    "speed_kmh": _Range(0, 500, "TR 38.901, 6.2: mobility up to 500 km/h"),
}

_CARRIER_GHZ = _Range(0.5, 100, "TR 38.901 Table 7.4.1-1, note 3")

_CARRIERS_GHZ = {"rma": _Range(0.5, 30, "TR 38.901 Table 7.4.1-1, note 3: f_H = 30 GHz for RMa")}

_TRACED_GHZ = _Range(1, 100, "materials are known there, ITU-R P.2040")

_HEIGHTS_M = {
    "uma": _Range(10, 150, "TR 38.901 Table 7.2-1 has 25 m, above roofs"),
    "umi": _Range(3, 50, "TR 38.901 Table 7.2-1 has 10 m, below roofs"),
    "rma": _Range(10, 150, "TR 38.901 Table 7.4.1-1: 10 m < h_BS < 150 m"),
    "inh": _Range(1.1, 10, "TR 38.901 Table 7.2-2 has 3 m, at the ceiling, and terminals at 1 m"),
    "inf": _Range(1, 25, "TR 38.901 Table 7.2-4: ceilings of halls are 5 to 25 m high"),
}
"""Of base stations, by the family of models."""


def check_source(channel: Channel) -> None:
    """Whether a channel lies where its source holds.

    :raises ScenarioError: it does not, as ``key: message``, the key within ``channel``.
    """
    if channel.source == "files":
        return
    holder = channel.model if channel.source == "model" else channel.source
    for key, limits in _DRAWN.items():
        value = channel.ue_array.num_antennas if key.startswith("ue_array") else getattr(channel, key)
        _check(key, value, limits, holder)
    if channel.source == "ray_traced":
        _check("carrier_frequency_ghz", channel.carrier_frequency_ghz, _TRACED_GHZ, holder)
        return
    carriers = _CARRIERS_GHZ.get(channel.model, _CARRIER_GHZ)
    _check("carrier_frequency_ghz", channel.carrier_frequency_ghz, carriers, holder)
    if channel.duplex.startswith("fdd_gapped"):
        downlink_ghz = channel.carrier_frequency_ghz + channel.duplex_gap_mhz * 1e-3
        _check("duplex_gap_mhz", downlink_ghz, carriers, holder, "the downlink's carrier in GHz ")
    family = channel.model.partition("_")[0]
    if channel.bs_array.height_m is not None and family in _HEIGHTS_M:
        _check("bs_array.height_m", channel.bs_array.height_m, _HEIGHTS_M[family], holder)


def _check(key: str, value: float, limits: _Range, holder: str, what: str = "") -> None:
    for broken, bound in ((value < limits.least, f"at least {limits.least:g}"),
                          (value > limits.most, f"at most {limits.most:g}")):
        if broken:
            raise ScenarioError(f"{key}: {what}must be {bound} for {holder} (given {value:g}; {limits.source}; "
                                "channels from files have no such limit)")
