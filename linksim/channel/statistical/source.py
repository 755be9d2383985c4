"""3GPP's statistical models as a source: every chunk of drops is drawn afresh from its seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from linksim.channel.source import ChannelSource
from linksim.channel.statistical.names import model_title
from linksim.channel.statistical.rules import check_ranges
from linksim.scenario.channel import Channel

if TYPE_CHECKING:
    from linksim.channel.drops import Drops


class StatisticalSource(ChannelSource):
    """TR 38.901's models, drawn by Sionna."""

    has_rays = True

    def title(self, channel: Channel) -> str:
        return model_title(channel)

    def check_channel(self, channel: Channel) -> None:
        check_ranges(channel)

    def draw(self, channel: Channel, batch_size: int, seed: int, device: str) -> Drops:
        from linksim.channel.statistical.drops import draw_drops

        return draw_drops(channel, batch_size, seed, device)

    def training_identity(self, channel: Channel, plugins: Sequence[str]) -> dict[str, Any]:
        return {}  # the channel's fields say all
