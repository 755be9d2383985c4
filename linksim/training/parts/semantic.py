"""Semantic codecs as what learns: from captions, over MIMO links, to what is found in a gallery."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from linksim.blocks.semantic.base import SemanticShape
from linksim.blocks.semantic.learned import LearnedSemanticCodec
from linksim.core import registry
from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.printing import say
from linksim.metrics.retrieval import RANKS
from linksim.retrieval.data import RetrievalSet, retrieval_set
from linksim.retrieval.generation.captions import generate_captions, generated_digest, is_generated
from linksim.scenario.identity import NOT_DRAWN, channel_fields, chosen_options
from linksim.scenario.training import WholeTraining
from linksim.training.codec_data import CodecDrops, codec_conditions, of_one_instant
from linksim.training.conditions import Condition
from linksim.training.part import Part


class SemanticPart(Part):
    """The semantic codec of a method."""

    kind = "semantic"
    by_descent = LearnedSemanticCodec

    @property
    def name(self) -> str:
        companion = "" if self.block == self.method.semantic else f" ({self.block.name})"
        return f"semantic codec of {self.method.name}{companion}"

    @cached_property
    def key(self) -> str:
        scenario = self.scenario
        return repr((self.block.key, scenario.semantic.data, scenario.semantic.channel_uses,
                     scenario.link.num_streams_per_user))

    @cached_property
    def training(self) -> WholeTraining:
        """Captions see one instant, and no noise of estimates."""
        return of_one_instant(self.block.training, self.scenario.channel).model_copy(update={"csi_snr_db": None})

    @cached_property
    def data(self) -> RetrievalSet:
        """The captions and their gallery."""
        return retrieval_set(self.scenario.semantic.data)

    @cached_property
    def conditions(self) -> list[Condition]:
        return codec_conditions(self.scenario.written, self.training)

    def _about(self) -> dict[str, Any]:
        made_by = self.block.made_by
        block = replace(self.block, name=made_by.network_name or self.block.name, options={
            key: value for key, value in self.block.options.items() if key not in made_by.transport_options})
        return {
            "block": block.name, "options": chosen_options(block), "data": self.data.identity,
            **({"generated": generated_digest(self.data)} if made_by.generates else {}),
            **({} if made_by.channel_free else {"channel_uses": self.scenario.semantic.channel_uses,
                                                "num_streams": self.scenario.link.num_streams_per_user}),
            "conditions": [channel_fields(channel, NOT_DRAWN) for channel, _ in self.conditions],
        }

    def drops(self, device: str) -> CodecDrops:
        return CodecDrops(self.scenario.written, self.training, device)

    def _new(self, folder: Path | None = None) -> LearnedSemanticCodec:
        codec = self.block.create()
        codec.prepare(SemanticShape(self.scenario.semantic.channel_uses, self.scenario.link.num_streams_per_user),
                      self.data)
        return codec

    def companions(self) -> list[Part]:
        """The codecs that it stands on beside its own networks; none for most, and none for a companion."""
        codec = self.block.create()
        wanted = codec.companions() if hasattr(codec, "companions") else ()
        return [SemanticPart(self.scenario, self.method, replace(
            self.block, name=name, given=options, checkpoint=None,
            options=registry.validate_options(registry.find(self.kind, name), options)), self.of)
            for name, options in wanted]

    def load(self, device: str = "cpu") -> LearnedSemanticCodec:
        codec = super().load(device)
        if others := self.companions():
            codec.send_bits_by([other.load(device) for other in others])
        return codec

    def check(self) -> None:
        items = len(self.data.test.item_identities)
        wanted = [*self.scenario.metrics, self.scenario.run.stopping.metric]
        for rank in RANKS:
            if rank > items and f"rank{rank}" in wanted:
                raise ScenarioError(f"metrics: rank{rank} needs a gallery of {rank} items, the test split of "
                                    f"{self.data.name} has {items}: leave it out")
        if not self.must_prepare():
            super().check()

    def fit(self, console: Console, device: str) -> None:
        raise LinksimError(f"semantic {self.block.name!r} does not say how it is trained")

    def must_prepare(self) -> str:
        if self.block.made_by.generates and not is_generated(self.data):
            return f"captions of {self.data.name} are generated first"
        return ""

    def prepare(self, console: Console) -> None:
        say(console, f"generating captions of {self.data.name}: none are stored")
        generate_captions(self.data, "smollm2", lambda text: say(console, text))
        self.__dict__.pop("about", None)  # depends on them
