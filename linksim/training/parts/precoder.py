"""Precoders as what learns: from the channel as the base station knows it to the highest rate on the true one."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from linksim.blocks.precoding.learned import LearnedPrecoder, PrecoderShape
from linksim.scenario.identity import NOT_DRAWN, acquisition_fields, channel_fields
from linksim.scenario.training import WholeTraining
from linksim.training.codec_data import CodecDrops, codec_conditions, of_one_instant
from linksim.training.conditions import Condition
from linksim.training.part import Part


class PrecoderPart(Part):
    """The precoder of a method, or of all."""

    kind = "precoder"
    by_descent = LearnedPrecoder

    @property
    def name(self) -> str:
        return f"precoder of {self.method.name}"

    @cached_property
    def key(self) -> str:
        return repr((self.block.key, self.scenario.channel.num_users, self.scenario.link.num_streams_per_user))

    @cached_property
    def training(self) -> WholeTraining:
        """One instant is seen, with the scenario's noise unless another one is given."""
        training = of_one_instant(self.block.training, self.scenario.channel)
        if training.csi_snr_db is not None or self.scenario.acquisition.type == "perfect":
            return training
        noise = self._ends("acquisition.csi_snr_db", self.scenario.acquisition.csi_snr_db)
        return training.model_copy(update={"csi_snr_db": noise})

    def _ends(self, axis: str, value: float) -> tuple[float, float]:
        """Ends of a swept field."""
        values = [float(one) for one in self.scenario.sweep.get(axis, [value])]
        return min(values), max(values)

    @cached_property
    def conditions(self) -> list[Condition]:
        return codec_conditions(self.scenario.written, self.training)

    @property
    def shape(self) -> PrecoderShape:
        """What it is made for."""
        scenario = self.scenario
        return PrecoderShape(scenario.channel.num_users, scenario.link.num_streams_per_user,
                             self._ends("link.snr_db", scenario.link.snr_db))

    def _about(self) -> dict[str, Any]:
        return {"shape": vars(self.shape),
                "conditions": [[channel_fields(channel, NOT_DRAWN), acquisition_fields(acquisition)]
                               for channel, acquisition in self.conditions]}

    def drops(self, device: str) -> CodecDrops:
        return CodecDrops(self.scenario.written, self.training, device)

    def _new(self, folder: Path | None = None) -> LearnedPrecoder:
        block = self.block.create()
        block.prepare(self.shape)
        return block
