"""Training drops, drawn on the fly from streams that no test drop comes from; batches of them cut, joined and moved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from sionna.phy import SPEED_OF_LIGHT

import linksim.channel
from linksim.blocks.prediction.learned import AllPairs, ProblemShape, TrainingBatch
from linksim.channel.source import chunk_of_drops, places_of, source_of
from linksim.channel.streaming import prefetched
from linksim.core.cache import cached_tensors
from linksim.core.csi import Csi, Panel
from linksim.core.packages import sionna_version
from linksim.core.places import Places
from linksim.core.seeding import generator, stream_seed
from linksim.nr.acquisition import acquire
from linksim.scenario.channel import Channel
from linksim.scenario.identity import channel_fields
from linksim.scenario.schema import Scenario
from linksim.scenario.training import Training
from linksim.training.antenna_pairs import chosen_pairs, some_pairs
from linksim.training.conditions import (
    CHUNK,
    Chunk,
    condition_of,
    num_chunks,
    training_chunks,
    training_conditions,
    training_seed,
)

_PARTS = ("history", "future", "uplink_future")
_TENSORS = ("h", "time_s", "frequency_hz", "noise_variance", "max_doppler_hz")


def kept_drops(identity: dict[str, Any], draw: Callable[[], TrainingBatch]) -> TrainingBatch:
    """A batch from the cache folder, drawn and kept there at first, on the CPU.

    :param identity: all that the values depend on but the code that draws them, which is added here.
    :raises StoreError: the cache folder cannot be written.
    """
    text = json.dumps([identity, _code()], sort_keys=True)
    name = f"training_drops/{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"
    return _batch(cached_tensors(name, lambda: _tensors(draw())))


@cache
def _code() -> list[str]:
    """Digests of the channel's source files, and the version of what it stands on."""
    folder = Path(linksim.channel.__file__).parent
    files = sorted(folder.rglob("*.py"))
    return [sionna_version(), *(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)]


def _tensors(batch: TrainingBatch) -> dict[str, torch.Tensor]:
    """Each of the batch's CSI once; ``place`` says which of them a part is."""
    different: list[Csi] = []
    place = []
    for part in _PARTS:
        csi = getattr(batch, part)
        if not any(csi is other for other in different):
            different.append(csi)
        place.append(next(index for index, other in enumerate(different) if csi is other))
    tensors = {"place": torch.tensor(place)}
    for index, csi in enumerate(different):
        panel = csi.panel
        tensors[f"panel.{index}"] = torch.tensor([panel.rows, panel.columns, panel.polarizations])
        tensors |= {f"{name}.{index}": getattr(csi, name).cpu().clone() for name in _TENSORS}
    return tensors


def _batch(tensors: dict[str, torch.Tensor]) -> TrainingBatch:
    place = tensors["place"].tolist()
    different = [Csi(**{name: tensors[f"{name}.{index}"] for name in _TENSORS},
                     panel=Panel(*tensors[f"panel.{index}"].tolist())) for index in range(max(place) + 1)]
    return TrainingBatch(**{part: different[index] for part, index in zip(_PARTS, place)})


__all__ = ["CHUNK", "TrainingDrops", "condition_of", "num_chunks", "problem_shape", "training_batches",
           "training_conditions", "training_seed"]

_PER_DROP = ("h", "noise_variance", "max_doppler_hz")


def problem_shape(scenario: Scenario, training: Training | None = None) -> ProblemShape:
    """Sizes that the scenario's trained blocks are made for."""
    channel = scenario.channel
    cycles = max(
        speed_kmh / 3.6 * c.carrier_frequency_ghz * 1e9 / SPEED_OF_LIGHT * c.csi_period_ms * 1e-3
        for c, _ in training_conditions(scenario, training) for speed_kmh in source_of(c).training_speeds_kmh(c)
    )
    return ProblemShape(channel.num_history, channel.num_future, channel.num_subcarriers, cycles)


class TrainingDrops:
    """The training and validation drops of one training, chunk by chunk; a chunk is the same whenever it is asked for.

    :param training: of a method; the scenario's by default.
    :param device: torch device.
    :raises ScenarioError: a training file that holds fewer.
    """

    def __init__(self, scenario: Scenario, training: Training | None = None, device: str = "cpu") -> None:
        self.scenario = scenario
        self.training = training or scenario.training
        self.device = device
        self.conditions = training_conditions(scenario, self.training)
        self.chunks = training_chunks(scenario, self.training)

    def draw(self, chunk: Chunk, epoch: int = 0) -> TrainingBatch:
        """The true channels of a chunk, its history noiseless.

        :param epoch: another one has other drops.
        """
        if self.training.keep_drops and not epoch and not source_of(self.scenario.channel).is_stored:
            batch = moved(kept_drops(self._kept_identity(chunk), lambda: self._drawn(chunk, epoch)), self.device)
        else:
            batch = self._drawn(chunk, epoch)
        return batch if chunk.num_drops == CHUNK else selected(batch, slice(chunk.num_drops))

    def _drawn(self, chunk: Chunk, epoch: int) -> TrainingBatch:
        """All `CHUNK` drops of a chunk."""
        channel, _ = self.conditions[chunk.condition]
        index = chunk.index + epoch * num_chunks(self.scenario, self.training)
        drops = chunk_of_drops(channel, CHUNK, self._seed(chunk, epoch), index, self.device, chunk.split)
        uplink_future = drops.future if channel.duplex == "tdd" else drops.response(drops.future.time_s)
        return TrainingBatch(drops.history, drops.future, uplink_future)

    def _kept_identity(self, chunk: Chunk) -> dict[str, Any]:
        """What the true channels of a chunk depend on."""
        channel, _ = self.conditions[chunk.condition]
        return {"channel": channel_fields(channel, ()), "seed": self._seed(chunk), "validation": chunk.validation,
                "device": torch.device(self.device).type,
                **source_of(channel).training_identity(channel, self.scenario.plugins)}

    def observed(self, chunk: Chunk, true: TrainingBatch, *noise: int | str, antenna_pairs: int = 0) -> TrainingBatch:
        """The same with the history as it is acquired.

        :param noise: names the noise, so that another name is another noise. Without one it is the same on every
            device; with one it is drawn where it is needed, which is many times faster on a GPU.
        :param antenna_pairs: of each user, drawn with the noise's name as well, evenly spaced without one; 0: all.
        """
        _, acquisition = self.conditions[chunk.condition]
        stream = generator(stream_seed(self._seed(chunk), "acquisition", *noise), self.device if noise else "cpu")
        snr_db = None
        if self.training.csi_snr_db is not None:
            low, high = self.training.csi_snr_db
            snr_db = low + (high - low) * torch.rand(len(true.history.h), generator=stream, device=stream.device)
        h = true.history.h
        if not 0 < antenna_pairs < h.shape[2] * h.shape[3]:
            return replace(true, history=acquire(true.history, acquisition, stream, snr_db)[0])
        pairs = chosen_pairs(h, antenna_pairs, self._seed(chunk), noise)
        if acquisition.type == "pilots":  # of all antennas together
            return some_pairs(replace(true, history=acquire(true.history, acquisition, stream, snr_db)[0]), pairs)
        some = some_pairs(true, pairs)
        history, _ = acquire(some.history, acquisition, stream, snr_db, some.all_pairs.history)
        seen = replace(some.all_pairs, history=some.all_pairs.history + history.noise_variance)
        return replace(some, history=history, all_pairs=seen)

    def _seed(self, chunk: Chunk, epoch: int = 0) -> int:
        return training_seed(self.scenario, self.conditions[chunk.condition][0], chunk.index, self.training, epoch)


def training_batches(scenario: Scenario, device: str = "cpu", training: Training | None = None
                     ) -> Iterator[tuple[TrainingBatch, bool]]:
    """Chunks of training drops in turn over all conditions; every fifth chunk is for validation.

    :param training: of a method; the scenario's by default.
    :returns: batch, and whether it is for validation.
    """
    source = TrainingDrops(scenario, training, device)
    for chunk, true in zip(source.chunks, prefetched(source.draw, source.chunks, device), strict=True):
        with torch.inference_mode():
            batch = source.observed(chunk, true)
        yield batch, chunk.validation


def selected(batch: TrainingBatch, index: slice | torch.Tensor) -> TrainingBatch:
    """Some drops of a batch."""
    found = _each(lambda csi: replace(csi, **{name: getattr(csi, name)[index] for name in _PER_DROP}), batch)
    if batch.places is not None:
        found = replace(found, places=batch.places.each(lambda tensor: tensor[index]))
    if batch.all_pairs is not None:
        found = replace(found, all_pairs=batch.all_pairs.each(lambda power: power[index]))
    if batch.prepared is None:
        return found
    drops = torch.arange(len(batch.prepared))[index.cpu() if isinstance(index, torch.Tensor) else index]
    return replace(found, prepared=[batch.prepared[drop] for drop in drops.tolist()])


def joined(batches: list[TrainingBatch]) -> TrainingBatch:
    """Batches of the same `grid_of` as one."""
    if len(batches) == 1:
        return batches[0]
    found = _each(lambda *parts: replace(
        parts[0], **{name: torch.cat([getattr(part, name) for part in parts]) for name in _PER_DROP}), *batches)
    if batches[0].places is not None:
        found = replace(found, places=Places.joined([batch.places for batch in batches]))
    if batches[0].all_pairs is not None:
        found = replace(found, all_pairs=AllPairs(*(
            torch.cat([getattr(batch.all_pairs, name) for batch in batches]) for name in ("history", "future"))))
    if batches[0].prepared is None:
        return found
    return replace(found, prepared=[entry for batch in batches for entry in batch.prepared])


def moved(batch: TrainingBatch, device: torch.device | str) -> TrainingBatch:
    """The same on another device."""
    found = _each(lambda csi: replace(csi, **{
        name: getattr(csi, name).to(device) for name in (*_PER_DROP, "time_s", "frequency_hz")}), batch)
    if batch.all_pairs is not None:
        found = replace(found, all_pairs=batch.all_pairs.each(lambda power: power.to(device)))
    return found if batch.places is None else replace(found, places=batch.places.to(device))


def num_bytes(batch: TrainingBatch) -> int:
    """Memory that a batch takes."""
    return sum(csi.h.nbytes for csi in {id(csi): csi for csi in _all_csi(batch)}.values())


def grid_of(channel: Channel) -> tuple:
    """Sizes, times, bands and panel: batches of channels where they are the same can be joined."""
    return (channel.num_users, channel.ue_array.num_antennas, channel.bs_array, channel.carrier_frequency_ghz,
            channel.duplex, channel.duplex_gap_mhz, channel.num_subcarriers, channel.subcarrier_spacing_khz,
            channel.csi_period_ms, channel.num_history, channel.num_future)


def _all_csi(batch: TrainingBatch) -> tuple[Csi, Csi, Csi]:
    return batch.history, batch.future, batch.uplink_future


def _each(function: Callable[..., Csi], *batches: TrainingBatch) -> TrainingBatch:
    """A function of the batches' histories, of their futures and of their uplink futures."""
    history = function(*(batch.history for batch in batches))
    future = function(*(batch.future for batch in batches))
    # in TDD both futures are one, and stay so
    tdd = all(batch.uplink_future is batch.future for batch in batches)
    return TrainingBatch(history, future, future if tdd else function(*(batch.uplink_future for batch in batches)))


class PlacedDrops(TrainingDrops):
    """Drops of ray-traced channels with the places of their terminals."""

    def draw(self, chunk: Chunk, epoch: int = 0) -> TrainingBatch:
        channel, _ = self.conditions[chunk.condition]
        index = chunk.index + epoch * num_chunks(self.scenario, self.training)
        drops = chunk_of_drops(channel, CHUNK, self._seed(chunk, epoch), index, self.device, chunk.split)
        batch = TrainingBatch(drops.history, drops.future, drops.future, places_of(drops, channel))
        return batch if chunk.num_drops == CHUNK else selected(batch, slice(chunk.num_drops))
