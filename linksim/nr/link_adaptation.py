"""Which MCS a block gets: what the base station's own CSI promises, less what its lost blocks have taught it.

Block errors are read from an effective SINR and simulated curves of the codes.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import numpy as np
import torch
from sionna.sys import EESM

from linksim.nr.slots import NUM_MCS
from linksim.nr.transport_block import BlockSizes
from linksim.scenario.coding import Coding

CURVES = Path(__file__).parent / "block_error_curves.json"
"""Made by ``benchmarks/block_error_curves.py``."""

_LEAST, _MOST = 1e-3, 1e3
"""Range of effective SINR, as in Sionna's EESM."""


def effective_sinr(sinr: torch.Tensor, mcs_table: int) -> torch.Tensor:
    """One SINR for each MCS that a block sees like all of its resources' together.

    :param sinr: linear, ``[..., resource]``.
    :returns: ``[..., MCS]``, float64, from -30 to 30 dB.

    Source: EESM with Sionna's parameters, see `sionna.sys.EESM`.
    """
    beta = _betas()[mcs_table - 1].clamp_min(1e-6)
    scaled = -sinr.double()[..., None, :] / beta[:, None]
    mean = torch.logsumexp(scaled, -1) - math.log(sinr.shape[-1])
    return (-beta * mean).clamp(_LEAST, _MOST)


def block_error_rate(sinr: torch.Tensor, sizes: BlockSizes) -> torch.Tensor:
    """Chance that a block is lost at an effective SINR, by MCS; 1 for an MCS that there is not.

    A code block's errors fall with the SINR in dB like a normal distribution function. Its middle and width are those
    simulated for the modulation, between code rates by straight lines, between sizes by straight lines over the
    inverse root of the size.

    :param sinr: ``[..., MCS]``, linear.
    """
    middle_db, width_db = _shapes(sizes)
    lost = torch.special.ndtr((middle_db - 10 * sinr.double().log10()) / width_db)
    return torch.where(sizes.usable, 1 - (1 - lost) ** sizes.num_code_blocks, 1.0)


def _shapes(sizes: BlockSizes) -> tuple[torch.Tensor, torch.Tensor]:
    """Middle and width in dB of every MCS's curve, ``[MCS]``."""
    found = torch.ones(2, len(sizes.order), dtype=torch.float64)
    for mcs, (order, rate, size) in enumerate(zip(sizes.order.tolist(), sizes.true_rate.tolist(),
                                                  sizes.code_block.tolist())):
        if order:
            found[:, mcs] = torch.tensor(curve_at(order, rate, size))
    return found[0], found[1]


def curve_at(order: int, rate: float, size: int) -> tuple[float, float]:
    """Middle and width, in dB, of the block errors of a code over AWGN.

    :param order: bits of a symbol; ``rate``, of the code, CRC included; ``size``, bits of a code block.
    """
    curves = _curves()[order]
    by_rate = [[np.interp(-(size**-0.5), [-(one**-0.5) for one in sizes], part) for part in parts]
               for _, sizes, *parts in curves]
    rates = [one[0] for one in curves]
    low = min(max(int(np.searchsorted(rates, rate)) - 1, 0), len(rates) - 2)  # on beyond the ends
    share = (rate - rates[low]) / (rates[low + 1] - rates[low])
    middle, width = (float(a + share * (b - a)) for a, b in zip(by_rate[low], by_rate[low + 1]))
    return middle, max(width, 0.05)


@functools.cache
def _curves() -> dict[int, list[tuple[float, list[int], list[float], list[float]]]]:
    """By modulation order: rate, sizes, middles and widths, rates ascending."""
    found: dict[int, list[tuple[float, list[int], list[float], list[float]]]] = {}
    for one in json.loads(CURVES.read_text(encoding="utf-8"))["curves"].values():
        found.setdefault(one["order"], []).append((one["rate"], one["sizes"], one["middle_db"], one["width_db"]))
    return {order: sorted(curves) for order, curves in found.items()}


@functools.cache
def _betas() -> torch.Tensor:
    return EESM().beta_tensor.double().cpu()


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
