"""Blocks that answer tasks as what learns: from ray-traced terminals, seen through their channels."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from linksim.blocks.universal.base import (
    FittedBlock,
    LearnedUniversalBlock,
    UniversalBlock,
    UniversalShape,
    truth_of,
    views_of,
)
from linksim.channel.streaming import prefetched
from linksim.core.csi import Panel
from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.heartbeat import counted, doing
from linksim.core.printing import say
from linksim.scenario.identity import NOT_DRAWN, acquisition_fields, channel_fields
from linksim.scenario.resolved import ResolvedScenario
from linksim.training.checkpoint import write_checkpoint
from linksim.training.conditions import Condition, training_conditions
from linksim.training.data import PlacedDrops
from linksim.training.part import Part, named_method


def universal_shape(scenario: ResolvedScenario) -> UniversalShape:
    """Sizes that the scenario's blocks are made for."""
    channel, array = scenario.channel, scenario.channel.bs_array
    panel = Panel(array.rows, array.columns, 2 if array.polarization == "dual" else 1)
    return UniversalShape(channel.ue_array.num_antennas, panel, channel.num_subcarriers,
                          channel.subcarrier_spacing_khz * 1e3, scenario.link.num_streams_per_user)


class UniversalPart(Part):
    """What answers a method's tasks."""

    kind = "universal"
    by_descent = LearnedUniversalBlock

    @cached_property
    def key(self) -> str:
        return repr((self.block.key, self.scenario.link.num_streams_per_user))

    @cached_property
    def conditions(self) -> list[Condition]:
        return training_conditions(self.scenario.written, self.training)

    def _about(self) -> dict[str, Any]:
        shape = universal_shape(self.scenario)
        return {"shape": {**vars(shape), "panel": vars(shape.panel)},
                "conditions": [[channel_fields(channel, NOT_DRAWN), acquisition_fields(acquisition)]
                               for channel, acquisition in self.conditions]}

    def drops(self, device: str) -> PlacedDrops:
        return PlacedDrops(self.scenario.written, self.training, device)

    def _new(self, folder: Path | None = None) -> UniversalBlock:
        block = self.block.create()
        block.prepare(universal_shape(self.scenario))
        return block

    def plain(self) -> UniversalBlock:
        return self._new().eval()

    def check(self) -> None:
        if getattr(self._new(), "needs_teacher", False) and not self.training.teacher:
            raise ScenarioError(f"{self.block.name} takes its encoders from one with universal: alignment: name that "
                                "in universal_training.teacher, or write encoders: scratch")
        super().check()

    def fit(self, console: Console, device: str) -> None:
        fit_together([self], console, device)


def fit_together(parts: list[UniversalPart], console: Console, device: str) -> None:
    """Fit blocks in closed form, each drop drawn once for all of them.

    :param parts: at least one, all of the same training.
    """
    drops, blocks = parts[0].drops(device), []
    for part in parts:
        with named_method(part.name):
            blocks.append(part.untrained())
            if not isinstance(blocks[-1], FittedBlock):
                raise LinksimError(f"universal {blocks[-1].block_name!r} does not say how it is trained")
    say(console, f"fitting {', '.join(part.name for part in parts)} to "
        f"{sum(chunk.num_drops for chunk in drops.chunks)} drops: no matching checkpoint in "
        f"{drops.scenario.training.folder}")
    drawn = zip(drops.chunks, prefetched(drops.draw, drops.chunks, device), strict=True)
    for chunk, true in counted("fitting", drawn, len(drops.chunks)):
        with torch.inference_mode():
            batch = drops.observed(chunk, true)
            seen = views_of(batch.history, batch.places), truth_of(batch.future, batch.places), chunk.validation
            for block in blocks:
                block.observe(*seen)
    for part, block in zip(parts, blocks):
        with torch.no_grad(), doing(f"solving for {part.name}"):
            error = block.solve()
        write_checkpoint(part.folder, block.state_dict(), {**part.about, "validation_nmse": error})
