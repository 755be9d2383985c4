"""Feedback codecs as what learns: from the terminal's estimate of the downlink back to the downlink."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from linksim.blocks.feedback.learned import ClosedFormCodec, FeedbackShape, FittedCodec, LearnedCodec
from linksim.channel.source import source_of
from linksim.channel.streaming import prefetched
from linksim.core.csi import Panel
from linksim.core.errors import LinksimError
from linksim.core.heartbeat import counted, doing
from linksim.core.printing import say
from linksim.scenario.identity import NOT_DRAWN, channel_fields, chosen_options
from linksim.scenario.training import WholeTraining
from linksim.training.checkpoint import write_checkpoint
from linksim.training.codec_data import CodecDrops, codec_conditions, of_one_instant
from linksim.training.conditions import Condition
from linksim.training.part import Part

BUDGET_OPTIONS = ("bits", "quantization", "value_bits")
"""Options that are chosen when a codec is used: they are no part of what it is."""


class CodecPart(Part):
    """The codec of a method's reports; its budget is the method's."""

    kind = "feedback"
    by_descent = LearnedCodec

    @property
    def name(self) -> str:
        return f"codec of {self.method.name}"

    @cached_property
    def key(self) -> str:
        return repr((self.kind, self.block.name, sorted(self._own_options().items()), self.block.training,
                     self.block.checkpoint))

    @cached_property
    def training(self) -> WholeTraining:
        """One instant is seen, but by what remembers (stored drops have their own speeds all the same)."""
        if self.remembers and not source_of(self.scenario.channel).is_stored:
            return self.block.training
        return of_one_instant(self.block.training, self.scenario.channel)

    @property
    def remembers(self) -> bool:
        """Whether reports build on earlier ones."""
        return self.block.made_by.remembers

    @cached_property
    def conditions(self) -> list[Condition]:
        return codec_conditions(self.scenario.written, self.training, self.remembers)

    def _about(self) -> dict[str, Any]:
        drawn = [channel_fields(channel, NOT_DRAWN) for channel, _ in self.conditions]
        options = {key: value for key, value in chosen_options(self.block).items() if key not in BUDGET_OPTIONS}
        return {"options": options, "conditions": drawn if self.is_learned else sorted(drawn, key=repr)}

    def _own_options(self) -> dict[str, Any]:
        return {key: value for key, value in self.block.options.items() if key not in BUDGET_OPTIONS}

    def drops(self, device: str) -> CodecDrops:
        window = self.block.options["delay_window"] if self.is_learned else 0
        return CodecDrops(self.scenario.written, self.training, device, window, self.remembers)

    def _new(self, folder: Path | None = None) -> FittedCodec:
        array = self.scenario.channel.bs_array
        panel = Panel(array.rows, array.columns, 2 if array.polarization == "dual" else 1)
        codec = self.block.create()
        codec.prepare(FeedbackShape(self.scenario.channel.ue_array.num_antennas, panel,
                                    self.scenario.channel.num_subcarriers))
        return codec

    def _fill(self, block: FittedCodec, state: dict[str, torch.Tensor]) -> None:
        block.restore(state)

    def in_use(self, block: FittedCodec) -> FittedCodec:
        return block.at_budget(self.block.options)

    def fit(self, console: Console, device: str) -> None:
        drops = self.drops(device)
        say(console, f"fitting {self.name} on {sum(chunk.num_drops for chunk in drops.chunks)} drops: no matching "
            f"checkpoint in {self.scenario.training.folder}")
        codec = self._new()
        if not isinstance(codec, ClosedFormCodec):
            raise LinksimError(f"feedback {codec.block_name!r} does not say how it is fitted")
        with torch.inference_mode():
            drawn = zip(drops.chunks, prefetched(drops.draw, drops.chunks, device), strict=True)
            for chunk, batch in counted(f"fitting {self.name}", drawn, len(drops.chunks)):
                codec.observe(batch.future, chunk.validation)
            with doing(f"solving for {self.name}"):
                score = codec.solve()
        write_checkpoint(self.folder, codec.saved_state(), {**self.about, "validation_nmse": score})
