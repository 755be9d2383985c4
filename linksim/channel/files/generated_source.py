"""A ``cir_source`` as a source: impulse responses computed as they are needed; training drops may be stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from linksim.channel.files.source import StoredSource, check_stored, check_training_drops
from linksim.channel.source import Split, no_rays
from linksim.core.errors import ScenarioError
from linksim.scenario.channel import Channel
from linksim.scenario.identity import plugin_digests
from linksim.scenario.resolved import ResolvedScenario, read_block

if TYPE_CHECKING:
    from linksim.channel.drops import Drops


class GeneratedSource(StoredSource):
    """What ``channel.files.generator`` names, see `linksim.channel.files.generated`."""

    def title(self, channel: Channel) -> str:
        return f"cir_source {read_block('files.generator', 'cir_source', channel.files.generator).name}"

    def check_channel(self, channel: Channel) -> None:
        self.title(channel)  # it is there, with these options

    def check(self, scenario: ResolvedScenario) -> None:
        channel = scenario.channel
        if channel.duplex not in ("tdd", "fdd_adjacent"):
            raise ScenarioError(f"channel.duplex: {channel.duplex} needs the rays; impulse responses serve tdd and "
                                "fdd_adjacent")
        check_stored(scenario)
        if channel.files.training_path:
            check_training_drops(scenario)

    def check_rays(self, channel: Channel) -> None:
        raise no_rays(self.title(channel))

    def num_drops(self, channel: Channel, split: Split = "test") -> int | None:
        return super().num_drops(channel, split) if split != "test" and channel.files.training_path else None

    def stores_training(self, channel: Channel) -> bool:
        return bool(channel.files.training_path)

    def training_identity(self, channel: Channel, plugins: Sequence[str]) -> dict[str, Any]:
        return super().training_identity(channel, plugins) or {
            "generator": channel.files.generator, "plugins": plugin_digests(plugins)}

    def drops(self, channel: Channel, batch_size: int, seed: int, chunk_index: int, device: str = "cpu",
              split: Split = "test") -> Drops:
        from linksim.channel.files.generated import generated_drops  # start-up

        if split != "test" and channel.files.training_path:
            return super().drops(channel, batch_size, seed, chunk_index, device, split)
        return generated_drops(channel, batch_size, seed, chunk_index, device, training=split != "test")
