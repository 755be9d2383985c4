"""Channel files as a source: drops are taken in order, as many as there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linksim.channel.source import ChannelSource, Split, check_positions, no_rays
from linksim.core.errors import ScenarioError
from linksim.scenario.channel import Channel
from linksim.scenario.resolved import ResolvedScenario

if TYPE_CHECKING:
    from linksim.channel.drops import Drops


def check_stored(scenario: ResolvedScenario) -> None:
    """What no channel file has, and no generator of impulse responses.

    :raises ScenarioError: it is asked for; ``key: message``.
    """
    channel = scenario.channel
    check_positions(scenario, "channel files")
    if channel.samples_per_period != 1 or channel.processing_delay_ms:
        raise ScenarioError("channel.samples_per_period: channel files hold whole CSI periods alone: leave it and "
                            "processing_delay_ms out")


def check_num_drops(scenario: ResolvedScenario, title: str, held: int) -> None:
    """Whether a file holds the drops of whole chunks that the run wants at least.

    :raises ScenarioError: ``run.stopping.min_drops: message``.
    """
    least, size = scenario.run.stopping.min_drops, scenario.run.chunk_size
    whole = held // size * size
    if whole < least:
        fix = f"run.stopping.min_drops={whole}" if whole else f"run.chunk_size={held}"
        raise ScenarioError(f"run.stopping.min_drops: {least} drops wanted, but {title} has {held} ({held // size} "
                            f"whole chunks of {size}): --set {fix}")


def learning_from(scenario: ResolvedScenario) -> list[str]:
    """Names of the methods whose predictor or codec learns from training drops of the scenario's own source."""
    own = scenario.channel.source_name
    return [method.name for method in scenario.simulated for block in (method.predictor, method.feedback)
            if block is not None and block.is_trained
            and block.training.channel.get("source", own) in (own, {"type": own})]


def check_training_drops(scenario: ResolvedScenario) -> None:
    """Whether there are drops of the right sizes for what learns.

    :raises ScenarioError: ``channel.files.training_path: message``.
    """
    channel, learning = scenario.channel, learning_from(scenario)
    if not learning:
        return
    if not channel.files.training_path:
        raise ScenarioError(f"channel.files.training_path: method {learning[0]!r} is trained, but the scenario names "
                            "no training drops: write it, or leave the method out")
    from linksim.channel.files.agreement import check_training_file  # start-up

    users = channel.num_users if scenario.acquisition.type == "pilots" else 1
    check_training_file(channel.model_copy(update={"num_users": users}))


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
