"""Training batches cut, joined and moved: all their CSI in step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from linksim.blocks.prediction.trained import TrainingBatch
from linksim.csi import Csi
from linksim.places import Places
from linksim.scenario.channel import Channel

_PER_DROP = ("h", "noise_variance", "max_doppler_hz")


def selected(batch: TrainingBatch, index: slice | torch.Tensor) -> TrainingBatch:
    """Some drops of a batch."""
    found = _each(lambda csi: replace(csi, **{name: getattr(csi, name)[index] for name in _PER_DROP}), batch)
    return found if batch.places is None else replace(found, places=batch.places.each(lambda tensor: tensor[index]))


def joined(batches: list[TrainingBatch]) -> TrainingBatch:
    """Batches of the same `grid_of` as one."""
    if len(batches) == 1:
        return batches[0]
    found = _each(lambda *parts: replace(
        parts[0], **{name: torch.cat([getattr(part, name) for part in parts]) for name in _PER_DROP}), *batches)
    if batches[0].places is None:
        return found
    return replace(found, places=Places.joined([batch.places for batch in batches]))


def moved(batch: TrainingBatch, device: torch.device | str) -> TrainingBatch:
    """The same on another device."""
    found = _each(lambda csi: replace(csi, **{
        name: getattr(csi, name).to(device) for name in (*_PER_DROP, "time_s", "frequency_hz")}), batch)
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
