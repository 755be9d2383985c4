"""Which positions of a scene are for training, which for validation and which for test.

Neighbouring positions see nearly the same paths, so a split by position would let a trained block recall what it is
tested on. Square blocks of the ground are dealt instead, each by a hash of its place and a seed, and positions near
the border to a stricter set are left out of the laxer one.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from linksim.scenario.ray_traced import RayTraced
from linksim.seeding import stream_seed

SETS = ("test", "validation", "training")
"""The strictest first: a set gives way to those before it."""


def positions_of(name: str, position_m: np.ndarray, options: RayTraced) -> np.ndarray:
    """Which positions belong to a set.

    :param name: one of `SETS`.
    :param position_m: ``[position, 3]``.
    :returns: ``[position]``, bool. No position of a set lies within ``guard_m`` (horizontally) of one of another set.
    """
    place = position_m[:, :2]
    dealt = _dealt(place, options)
    kept = np.zeros(len(place), dtype=bool)
    for number in range(SETS.index(name) + 1):
        mine = dealt == number
        if options.guard_m and kept.any() and mine.any():
            distance, _ = cKDTree(place[kept]).query(place[mine])
            mine[np.flatnonzero(mine)[distance < options.guard_m]] = False
        last, kept = mine, kept | mine
    return last


def _dealt(place: np.ndarray, options: RayTraced) -> np.ndarray:
    """The number of the set of each position's block."""
    blocks, block = np.unique(np.floor(place / options.block_m).astype(int), axis=0, return_inverse=True)
    share = np.array([stream_seed(options.split_seed, "block", *pair) / 2**63 for pair in blocks.tolist()])
    limits = np.cumsum([options.test_share, options.validation_share])
    return np.searchsorted(limits, share, side="right")[block.ravel()]
