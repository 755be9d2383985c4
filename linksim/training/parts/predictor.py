"""Predictors as what learns: from a history of the uplink to the future of the downlink."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from linksim.blocks.prediction.learned import ClosedFormPredictor, FittedPredictor, LearnedPredictor, ProblemShape
from linksim.core.errors import LinksimError
from linksim.core.heartbeat import counted, doing
from linksim.core.printing import say
from linksim.scenario.identity import NOT_DRAWN, acquisition_fields, channel_fields
from linksim.training.checkpoint import read_about, write_checkpoint
from linksim.training.conditions import CHUNK, Condition, num_chunks, training_chunks, training_conditions
from linksim.training.data import TrainingDrops, problem_shape, training_batches
from linksim.training.part import Part


class PredictorPart(Part):
    """The predictor of a method."""

    kind = "predictor"
    by_descent = LearnedPredictor

    @cached_property
    def conditions(self) -> list[Condition]:
        return training_conditions(self.scenario.written, self.training)

    def _about(self) -> dict[str, Any]:
        return {"shape": vars(problem_shape(self.scenario.written, self.training)),
                "conditions": [[channel_fields(channel, NOT_DRAWN), acquisition_fields(acquisition)]
                               for channel, acquisition in self.conditions]}

    def drops(self, device: str) -> TrainingDrops:
        return TrainingDrops(self.scenario.written, self.training, device)

    def _new(self, folder: Path | None = None) -> FittedPredictor:
        block = self.block.create()
        block.prepare(problem_shape(self.scenario.written, self.training) if folder is None
                      else ProblemShape(**read_about(folder)["shape"]))
        return block

    def fit(self, console: Console, device: str) -> None:
        training, scenario = self.training, self.scenario.written
        chunks = training_chunks(scenario, training)
        say(console, f"fitting {self.name} on {sum(chunk.num_drops for chunk in chunks)} drops: no matching "
            f"checkpoint in {scenario.training.folder}; about {self._seconds():.0f} s")
        block = self.untrained()
        if not isinstance(block, ClosedFormPredictor):
            raise LinksimError(f"predictor {block.block_name!r} does not say how it is trained")
        batches = training_batches(scenario, device, training)
        for batch, validation in counted(f"fitting {self.name}", batches, len(chunks)):
            block.observe(batch, validation)
        with doing(f"solving for {self.name}"):
            score = block.solve()
        write_checkpoint(self.folder, block.state_dict(), {**self.about, "validation_nmse": score})

    def _seconds(self) -> float:
        """Roughly, to draw the drops: 5 ms for each 32 antennas x 20 times x 48 tones of a user."""
        channel = self.scenario.channel
        samples = channel.bs_array.num_antennas * channel.num_subcarriers * (channel.num_history + channel.num_future)
        return 1 + num_chunks(self.scenario.written, self.training) * CHUNK * samples / 30_000 * 0.01
