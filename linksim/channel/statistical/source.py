"""3GPP's statistical models as a source: every chunk of drops is drawn afresh from its seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from linksim.channel.source import ChannelSource
from linksim.channel.statistical.rules import check_ranges
from linksim.scenario.channel import Channel

if TYPE_CHECKING:
    from linksim.channel.drops import Drops


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
