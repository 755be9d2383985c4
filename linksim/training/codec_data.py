"""Training drops of codecs: the downlink of one instant (or history), as the terminal sees it and as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from linksim.blocks.prediction.learned import TrainingBatch
from linksim.channel.source import chunk_of_drops, source_of
from linksim.core.csi import Csi
from linksim.mimo.angle_delay import from_delay, to_delay
from linksim.scenario.channel import Channel
from linksim.scenario.schema import Acquisition, Scenario
from linksim.scenario.training import Training, WholeTraining
from linksim.training.conditions import CHUNK, Chunk, Condition, training_conditions
from linksim.training.data import TrainingDrops


def codec_scenario(scenario: Scenario, training: Training, remembers: bool = False) -> Scenario:
    """The same with the shortest history and future, and acquisition as codecs are trained.

    Codecs of scenarios that differ in these alone are the same. They learn from noiseless CSI, or with
    ``training.csi_snr_db`` from noisy CSI and noiseless labels.

    :param remembers: of codecs whose reports build on earlier ones, which need the history.
    """
    update: dict[str, Any] = {"acquisition": Acquisition(type="perfect" if training.csi_snr_db is None else "awgn")}
    is_stored = source_of(scenario.channel).is_stored
    if not is_stored and remembers:
        update["channel"] = scenario.channel.model_copy(update={"num_future": 1, "samples_per_period": 1,
                                                                "processing_delay_ms": 0.0})
    elif not is_stored:
        short = {name: Channel.model_fields[name].default
                 for name in ("csi_period_ms", "samples_per_period", "processing_delay_ms")}
        update["channel"] = scenario.channel.model_copy(update={**short, "num_history": 1, "num_future": 1})
    kept = {axis: values for axis, values in scenario.sweep.items() if axis.startswith("channel.")}
    return scenario.model_copy(update={**update, "sweep": kept})


def of_one_instant(training: WholeTraining, channel: Channel) -> WholeTraining:
    """A training whose blocks see one instant, about which speeds say nothing; stored drops have their own."""
    speeds = [] if source_of(channel).is_stored else [Channel.model_fields["speed_kmh"].default]
    return training.model_copy(update={"speeds_kmh": speeds})


def codec_conditions(scenario: Scenario, training: Training, remembers: bool = False) -> list[Condition]:
    """Channels that a codec is trained on."""
    return training_conditions(codec_scenario(scenario, training, remembers), training)


class CodecDrops(TrainingDrops):
    """Drops whose future is the true downlink at one instant, and whose history the terminal's estimate of it.

    For codecs that remember both are the whole history.

    :param training: of the codec; see `linksim.training.parts.feedback`.
    :param window: delay rows that the codec sees, if it sees no more; noiseless drops are then kept as a band of as
        many tones with the same window, which takes a fraction of the memory. 0: the whole band.
    """

    def __init__(self, scenario: Scenario, training: Training, device: str = "cpu", window: int = 0,
                 remembers: bool = False) -> None:
        super().__init__(codec_scenario(scenario, training, remembers), training, device)
        self.remembers = remembers
        self.window = window if training.csi_snr_db is None else 0

    def _drawn(self, chunk: Chunk, epoch: int) -> TrainingBatch:
        channel, _ = self.conditions[chunk.condition]
        index = chunk.index + epoch * len(self.chunks)
        drops = chunk_of_drops(channel, CHUNK, self._seed(chunk, epoch), index, self.device, chunk.split)
        csi = drops.downlink_history() if self.remembers else _narrowed(_first_instant(drops.future), self.window)
        return TrainingBatch(csi, csi, csi)

    def _kept_identity(self, chunk: Chunk) -> dict[str, Any]:
        return {**super()._kept_identity(chunk), "window": self.window, "one instant": not self.remembers}


def _first_instant(csi: Csi) -> Csi:
    return replace(csi, h=csi.h[..., :1, :].clone(), time_s=csi.time_s[:1])


def _narrowed(csi: Csi, num_rows: int) -> Csi:
    """A band of ``num_rows`` tones whose delay rows are the first ones of this band; 0: the band itself."""
    if not 0 < num_rows < csi.h.shape[-1]:
        return csi
    rows = to_delay(csi.h)[..., :num_rows]
    return replace(csi, h=from_delay(rows), frequency_hz=csi.frequency_hz[:num_rows])
