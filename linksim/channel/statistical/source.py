"""3GPP's statistical models as a source: every chunk of drops is drawn afresh from its seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from linksim.channel.ranges import Range, check_drawn, check_range
from linksim.channel.source import ChannelSource
from linksim.scenario.channel import Channel

if TYPE_CHECKING:
    from linksim.channel.drops import Drops


_CARRIER_GHZ = Range(0.5, 100, "TR 38.901 Table 7.4.1-1, note 3")

_CARRIERS_GHZ = {"rma": Range(0.5, 30, "TR 38.901 Table 7.4.1-1, note 3: f_H = 30 GHz for RMa")}

_HEIGHTS_M = {
    "uma": Range(10, 150, "TR 38.901 Table 7.2-1 has 25 m, above roofs"),
    "umi": Range(3, 50, "TR 38.901 Table 7.2-1 has 10 m, below roofs"),
    "rma": Range(10, 150, "TR 38.901 Table 7.4.1-1: 10 m < h_BS < 150 m"),
    "inh": Range(1.1, 10, "TR 38.901 Table 7.2-2 has 3 m, at the ceiling, and terminals at 1 m"),
    "inf": Range(1, 25, "TR 38.901 Table 7.2-4: ceilings of halls are 5 to 25 m high"),
}
"""Heights of base stations, by the family of models."""


def check_ranges(channel: Channel) -> None:
    """Whether a channel lies where its model holds.

    :raises ScenarioError: it does not; ``key: message``, the key within ``channel``.
    """
    model = channel.model
    check_drawn(channel, model)
    carriers = _CARRIERS_GHZ.get(model, _CARRIER_GHZ)
    check_range("carrier_frequency_ghz", channel.carrier_frequency_ghz, carriers, model)
    if channel.duplex.startswith("fdd_gapped"):
        downlink_ghz = channel.carrier_frequency_ghz + channel.duplex_gap_mhz * 1e-3
        check_range("duplex_gap_mhz", downlink_ghz, carriers, model, "the downlink's carrier in GHz ")
    family = model.partition("_")[0]
    if channel.bs_array.height_m is not None and family in _HEIGHTS_M:
        check_range("bs_array.height_m", channel.bs_array.height_m, _HEIGHTS_M[family], model)


class StatisticalSource(ChannelSource):
    """TR 38.901's models, drawn by Sionna."""

    has_rays = True

    def title(self, channel: Channel) -> str:
        """The model with its line of sight, and what is lost into buildings."""
        los = "" if channel.model.startswith("cdl") else f" {channel.los_name}"
        loss = f" ({channel.penetration_loss} O2I loss)" if channel.path_loss else ""
        indoors = f", {100 * channel.indoor_share:g} % indoors{loss}" if channel.has_floors else ""
        return f"{_model_name(channel.model)}{los}{indoors}"

    def check_channel(self, channel: Channel) -> None:
        check_ranges(channel)

    def draw(self, channel: Channel, batch_size: int, seed: int, device: str) -> Drops:
        from linksim.channel.statistical.drops import draw_drops  # start-up

        return draw_drops(channel, batch_size, seed, device)

    def training_identity(self, channel: Channel, plugins: Sequence[str]) -> dict[str, Any]:
        return {}  # the channel's fields say all


def _model_name(model: str) -> str:
    """How a channel model is written: UMa, CDL-A, InH (open office), InF-SH."""
    family, _, variant = model.partition("_")
    if family == "cdl":
        return f"CDL-{variant.upper()}"
    name = family[:-1].upper() + family[-1] if family in ("uma", "umi", "rma") else f"In{family[-1].upper()}"
    if family == "inh":
        return f"{name} ({variant} office)"
    return f"{name}-{variant.upper()}" if variant else name
