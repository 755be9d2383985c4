"""Some antenna pairs of each user, for blocks that see each pair by itself: noise of the others is never drawn."""

from __future__ import annotations

from dataclasses import replace

import torch

from linksim.blocks.prediction.learned import AllPairs, TrainingBatch
from linksim.blocks.prediction.sequences import history_scale
from linksim.core.csi import Csi, Panel
from linksim.core.seeding import generator, stream_seed


def chosen_pairs(h: torch.Tensor, antenna_pairs: int, seed: int, noise: tuple[int | str, ...]) -> torch.Tensor:
    """Which pairs of each user are taken, none twice: ``[batch, user, pair]``.

    :param h: ``[batch, user, ue_ant, bs_ant, …]``.
    :param noise: names the draw; without a name they are evenly spaced.
    """
    batch, user, total = *h.shape[:2], h.shape[2] * h.shape[3]
    if not noise:
        return (torch.arange(antenna_pairs) * total // antenna_pairs).expand(batch, user, -1).to(h.device)
    stream = generator(stream_seed(seed, "antenna pairs", *noise))
    return torch.rand(batch, user, total, generator=stream).argsort(-1)[..., :antenna_pairs].to(h.device)


def some_pairs(batch: TrainingBatch, index: torch.Tensor) -> TrainingBatch:
    """The same users with some of their antenna pairs, side by side in the place of the base station's antennas.

    :param index: as of `chosen_pairs`.
    """
    panel = Panel(1, index.shape[-1], 1)

    def taken(csi: Csi) -> Csi:
        h = csi.h.flatten(2, 3).take_along_dim(index[..., None, None], 2)
        return replace(csi, h=h[:, :, None], panel=panel)

    history, future = taken(batch.history), taken(batch.future)
    uplink = future if batch.uplink_future is batch.future else taken(batch.uplink_future)
    power = AllPairs(*(history_scale(csi.h).flatten(1).square() for csi in (batch.history, batch.future)))
    return replace(batch, history=history, future=future, uplink_future=uplink, all_pairs=power)
