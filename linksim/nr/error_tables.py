"""Block errors from effective SINR: simulated curves of the codes and EESM, looked up without loops."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import numpy as np
import torch
from sionna.sys import EESM

from linksim.nr.transport_block import BlockSizes

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
