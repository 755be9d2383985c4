"""Channel files as a source: drops are taken in order, as many as there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linksim.channel.files.rules import check_num_drops, check_stored, check_training_drops
from linksim.channel.source import ChannelSource, Split, no_rays
from linksim.scenario.channel import Channel
from linksim.scenario.resolved import ResolvedScenario

if TYPE_CHECKING:
    from linksim.channel.drops import Drops


class StoredSource(ChannelSource):
    """Drops that linksim or others have written. What reads files is imported where they are read."""

    is_stored = True

    def title(self, channel: Channel) -> str:
        return Path(channel.files.path).name

    def complete(self, section: dict[str, Any], swept: set[str]) -> dict[str, Any]:
        from linksim.channel.files.agreement import completed  # start-up

        return completed(section, swept)

    def check(self, scenario: ResolvedScenario) -> None:
        from linksim.channel.files.agreement import check_against_file  # start-up

        header = check_against_file(scenario.channel)
        check_stored(scenario)
        check_num_drops(scenario, header.title, self.num_drops(scenario.channel))
        check_training_drops(scenario)

    def check_rays(self, channel: Channel) -> None:
        from linksim.channel.files.agreement import check_against_file  # start-up

        header = check_against_file(channel)
        if not header.has_rays:
            raise no_rays(header.title)

    def num_drops(self, channel: Channel, split: Split = "test") -> int:
        from linksim.channel.files.agreement import num_drops, num_training_drops  # start-up

        return num_drops(channel) if split == "test" else num_training_drops(channel)

    def stores_training(self, channel: Channel) -> bool:
        return True

    def training_speeds_kmh(self, channel: Channel) -> list[float]:
        """Those that the file holds."""
        if not channel.files.training_path:
            return [channel.speed_kmh]
        from linksim.channel.files.agreement import training_speeds_kmh  # start-up

        return training_speeds_kmh(channel)

    def training_identity(self, channel: Channel, plugins: Sequence[str]) -> dict[str, Any]:
        return {"training_file": channel.files.training_sha256} if channel.files.training_path else {}

    def drops(self, channel: Channel, batch_size: int, seed: int, chunk_index: int, device: str = "cpu",
              split: Split = "test") -> Drops:
        from linksim.channel.files.drops import stored_drops, stored_training_drops  # start-up

        stored = stored_drops if split == "test" else stored_training_drops
        return stored(channel, batch_size, chunk_index, device)
