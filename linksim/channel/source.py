"""Where channels come from: what the house asks of a source, and which source a channel has.

Every source that linksim brings is a folder beside this file; a plugin registers its own as a ``channel_source``. No
torch here: headers and checks ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.messages import suggestion
from linksim.core.registry import catalogue
from linksim.scenario.channel import SOURCE_SECTIONS, Channel
from linksim.scenario.identity import plugin_digests
from linksim.scenario.resolved import Block, ResolvedScenario, read_block

if TYPE_CHECKING:
    import torch

    from linksim.channel.drops import Drops
    from linksim.channel.rays import Rays
    from linksim.core.places import Places

Split = Literal["test", "training", "validation"]
"""Sets of drops that share nothing."""

_BUILT_IN = {"model": "statistical.source:StatisticalSource", "files": "files.source:StoredSource",
             "ray_traced": "ray_traced.source:RayTracedSource"}
_GENERATED = "files.generated_source:GeneratedSource"


class ChannelSource:
    """Where drops come from. A plugin's own says in `draw` what they are; all else has an answer already."""

    has_rays = False
    """Drops come with their rays, which bounds are computed from, and so with where users stand."""

    has_places = False
    """Tasks about terminals can be asked: there is a map around them."""

    is_stored = False
    """Others have made the drops: their times, bands and speeds are what they are, and noise has the seeds of the same
    channels drawn."""

    def draw(self, channel: Channel, batch_size: int, seed: int, device: str) -> Drops | torch.Tensor:
        """Channels of a chunk of drops, of unit gain on average.

        :param seed: decides all that is random; those of test, training and validation drops differ.
        :returns: ``[batch, user, ue_ant, bs_ant, time, subcarrier]``, complex: the uplink at the times of the history,
            then the downlink at those of the future; or `linksim.channel.drops.Drops`, where ``has_rays``.
        """
        raise LinksimError(f"channel_source {channel.source_name!r} has no method draw")

    def drops(self, channel: Channel, batch_size: int, seed: int, chunk_index: int, device: str = "cpu",
              split: Split = "test") -> Drops:
        """One chunk of drops of a set; see `chunk_of_drops`."""
        from linksim.channel.drops import Drops, drops_of_channels  # start-up

        drawn = self.draw(channel, batch_size, seed, device)
        return drawn if isinstance(drawn, Drops) else drops_of_channels(channel, drawn, batch_size, device)

    def title(self, channel: Channel) -> str:
        """How it is written for people, with what it models."""
        return read_block("source", "channel_source", channel.source).title()

    def complete(self, section: dict[str, Any], swept: set[str]) -> dict[str, Any]:
        """A scenario's section ``channel`` with what the source says where the scenario leaves it out.

        :param section: as written, not validated.
        :param swept: channel fields that the sweep names.
        :raises ScenarioError: what it names is not there, or is another one; ``key: message``.
        """
        return section

    def check_channel(self, channel: Channel) -> None:
        """Whether it holds for a channel.

        :raises ScenarioError: it does not; ``key: message``, the key within ``channel``.
        """

    def check(self, scenario: ResolvedScenario) -> None:
        """Whether the rest of a scenario, at one sweep point, asks for nothing that its drops do not have.

        :raises ScenarioError: it does; ``key: message``.
        """
        if self.has_rays:
            return
        title = self.title(scenario.channel)
        check_positions(scenario, title)
        trained = [method.name for method in scenario.simulated if method.predictor and method.predictor.is_trained]
        if trained and scenario.channel.duplex != "tdd":
            raise ScenarioError(f"channel.duplex: {trained[0]!r} is trained with the uplink's future, which {title} "
                                f"does not give in {scenario.channel.duplex}: write tdd")

    def check_rays(self, channel: Channel) -> None:
        """Whether its drops come with rays that stay, which genies are told.

        :raises ScenarioError: they do not; says why not.
        """
        if not self.has_rays:
            raise no_rays(self.title(channel))

    def check_machine(self, channel: Channel) -> None:
        """Whether this machine has what it needs.

        :raises LinksimError: it has not; says what to install.
        """

    def prepare(self, channel: Channel, split: Split, say: Callable[[str], None], with_places: bool) -> None:
        """Make ready, once and before a run, what drops of a set are taken from.

        :param with_places: where users stand is asked for, too.
        :raises LinksimError: it cannot be.
        """

    def memory(self, channel: Channel) -> Iterable[tuple[float, str, str]]:
        """What it holds beside the drops: bytes, in a few words what, and the field that makes it smaller."""
        return ()

    def num_drops(self, channel: Channel, split: Split = "test") -> int | None:
        """How many drops there are; None where there is no end to them."""
        return None

    def stores_training(self, channel: Channel) -> bool:
        """Whether training drops are taken from a store in order, so that `num_drops` counts them."""
        return False

    def training_speeds_kmh(self, channel: Channel) -> list[float]:
        """Speeds of the terminals of training drops."""
        return [channel.speed_kmh]

    def training_identity(self, channel: Channel, plugins: Sequence[str]) -> dict[str, Any]:
        """What training drops depend on beside the channel's fields.

        :param plugins: the scenario's plugin files.
        """
        return {"channel_source": channel.source, "plugins": plugin_digests(plugins)}

    def places(self, channel: Channel, rays: Rays, area: torch.Tensor | None = None) -> Places:
        """Where the terminals of drops stand, with a map around them.

        :param area: see `linksim.channel.drops.Drops`.
        :raises ScenarioError: it knows no places.
        """
        raise ScenarioError("channel.source: positions and maps are those of ray-traced channels: write ray_traced")


def no_rays(title: str) -> ScenarioError:
    """What is said where drops of that title come without their rays."""
    return ScenarioError(f"needs the rays of every drop, which {title} does not hold: write bounds: [sum_capacity], or "
                         "[]")


def check_positions(scenario: ResolvedScenario, title: str) -> None:
    """Whether a scenario does without where users stand, and without what the downlink was.

    :raises ScenarioError: it does not.
    """
    if scenario.run.maps:
        raise ScenarioError(f"run.maps: drops of {title} do not say where the base station stands: leave it out, or "
                            "draw the drops with channel.source=model")
    if scenario.channel.duplex != "tdd":
        for index, method in enumerate(scenario.methods):
            if method.feedback is not None:
                raise ScenarioError(f"methods.{index}.feedback: drops of {title} hold no downlink history in "
                                    f"{scenario.channel.duplex}; write duplex: tdd (reports use the downlink band "
                                    "alone)")


def source_of(channel: Channel) -> ChannelSource:
    """The source of a channel.

    :raises ScenarioError: none has that name, or it takes no such options; ``source: message``.
    """
    return _loaded(_GENERATED) if channel.files.generator is not None else source_named(channel.source)


def source_named(reference: str | dict[str, Any]) -> ChannelSource:
    """The source of an entry ``channel.source``; that of files where they are meant, generated or not.

    :raises ScenarioError: as `source_of`.
    """
    name = reference if isinstance(reference, str) else reference.get("type")
    if isinstance(name, str) and name in _BUILT_IN:  # to options the schema objects
        return _loaded(_BUILT_IN[name])
    known = [*SOURCE_SECTIONS, *(spec.name for spec in catalogue("channel_source"))]
    if isinstance(name, str) and name not in known:
        raise ScenarioError(f"source: unknown source {name!r}: {suggestion(name, known)}")
    block = read_block("source", "channel_source", reference)
    return _made(block.made_by, block)


def chunk_of_drops(channel: Channel, batch_size: int, seed: int, chunk_index: int, device: str = "cpu",
                   split: Split = "test") -> Drops:
    """One chunk of drops.

    :param channel: of one sweep point, or of one training condition.
    :param batch_size: drops per chunk.
    :param seed: of this chunk; stored drops do not depend on it.
    :param chunk_index: which chunk; drawn drops do not depend on it.
    :param device: torch device.
    :param split: files have their training drops in ``channel.files.training_path``, scenes on other ground.
    :raises LinksimError: the file does not hold them; a plugin's are of another shape.
    """
    return source_of(channel).drops(channel, batch_size, seed, chunk_index, device, split)


def places_of(drops: Drops, channel: Channel) -> Places:
    """Where the terminals of drops stand, with a map around them.

    :param channel: that the drops are of.
    :raises ScenarioError: its source knows no places, or a map has to be made and cannot be.
    """
    return source_of(channel).places(channel, drops.uplink_rays, drops.area)


@lru_cache
def _loaded(place: str) -> ChannelSource:
    module, _, name = place.partition(":")
    return getattr(import_module(f"linksim.channel.{module}"), name)()


@lru_cache(maxsize=8)
def _made(made_by: type, block: Block) -> ChannelSource:
    """The source is kept: a plugin may read large files to make it. A plugin that has been edited has another class."""
    source = made_by(**block.options)
    if not isinstance(source, ChannelSource):
        raise ScenarioError(f"source: {block.name!r} is no linksim.ChannelSource: derive its class from it")
    return source
