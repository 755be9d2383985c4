"""Which MCS a block gets: what the base station's own CSI promises, less what its lost blocks have taught it."""

from __future__ import annotations

import torch

from linksim.nr.error_tables import block_error_rate
from linksim.nr.tables import NUM_MCS
from linksim.nr.transport_block import BlockSizes
from linksim.scenario.coding import Coding

_GRID_DB = torch.arange(-100, 301).double() / 10
"""Effective SINR at which curves are searched for a threshold."""


def thresholds_db(sizes: BlockSizes, coding: Coding) -> torch.Tensor:
    """Least effective SINR at which blocks of each MCS are lost as often as aimed at, ``[MCS]``; infinite for one that
    there is not.
    """
    rate = block_error_rate((10 ** (_GRID_DB / 10))[:, None].expand(-1, NUM_MCS), sizes)
    first = (rate <= coding.bler_target).long().argmax(0)
    return torch.where(sizes.usable, _GRID_DB[first], torch.inf)


def inner_loop(promised_db: torch.Tensor, offset_db: torch.Tensor, threshold_db: torch.Tensor) -> torch.Tensor:
    """The highest MCS whose block is expected to arrive, the lowest one there is if none: int64, ``[...]``.

    :param promised_db: effective SINR of the base station's CSI by MCS, ``[..., MCS]``; ``offset_db``, ``[...]``.
    """
    number = torch.arange(promised_db.shape[-1], device=promised_db.device)
    least = int(threshold_db.isfinite().nonzero()[0])
    reached = promised_db - offset_db[..., None] >= threshold_db
    return torch.where(reached, number, least).amax(-1)


def adapt(promised_db: torch.Tensor, loss: torch.Tensor, draws: torch.Tensor, threshold_db: torch.Tensor,
          coding: Coding) -> tuple[torch.Tensor, torch.Tensor]:
    """Inner and outer loop over a drop's slots.

    A drop holds one report period, too short for an outer loop to settle. So the loop goes through its slots
    ``coding.outer_loop_passes`` times, with errors of their own, before the pass that counts. All it is told is which
    blocks arrived.

    :param promised_db: ``[batch, slot, user, MCS]``, see `inner_loop`.
    :param loss: chance that a block of each MCS is lost on the true channel, same shape.
    :param draws: uniform numbers, ``[pass, batch, slot, user]``; the last pass counts.
    :returns: MCS and whether the block was lost, ``[batch, slot, user]``.

    Source: Pedersen, Frederiksen, Kolding, Lootsma and Mogensen, "Performance of high-speed downlink packet access in
    coexistence with dedicated channels", IEEE Trans. Veh. Technol. 56(3), 2007: up by a step for each lost block, down
    by target / (1 - target) of it for each other.
    """
    batch, slots, users, _ = promised_db.shape
    up = coding.outer_loop_step_db
    down = up * coding.bler_target / (1 - coding.bler_target)
    offset_db = promised_db.new_zeros(batch, users)
    chosen = torch.zeros(batch, slots, users, dtype=torch.long, device=promised_db.device)
    lost = torch.zeros_like(chosen, dtype=torch.bool)
    for one in draws:
        for slot in range(slots):
            mcs = inner_loop(promised_db[:, slot], offset_db, threshold_db)
            missed = one[:, slot] < loss[:, slot].gather(-1, mcs[..., None])[..., 0]
            if len(draws) > 1:
                offset_db = offset_db + torch.where(missed, up, -down)
            chosen[:, slot], lost[:, slot] = mcs, missed
    return chosen, lost
