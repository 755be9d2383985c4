"""Which positions of a scene are for training, which for validation and which for test.

Neighbouring positions see nearly the same paths, so a split by position lets a trained block recall what it is tested
on. By default square blocks of the ground are dealt instead, each by a hash of its place and a seed, and positions near
the border to a stricter set are left out of the laxer one. Several areas can be dealt as a whole.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from linksim.core.seeding import stream_seed
from linksim.scenario.ray_traced import RayTraced

SETS = ("test", "validation", "training")
"""The strictest first: a set gives way to those before it."""

_APART_M = 1e5


def positions_of(name: str, position_m: np.ndarray, options: RayTraced, area: np.ndarray | None = None) -> np.ndarray:
    """Which positions belong to a set.

    :param name: one of `SETS`.
    :param position_m: ``[position, 3]``.
    :param area: number of each one's area, ``[position]``; all stand in one without.
    :returns: ``[position]``, bool. Of blocks: no position of a set lies within ``guard_m`` (horizontally) of one of
        another set.
    """
    area = np.zeros(len(position_m), dtype=int) if area is None else area
    if options.split != "blocks":
        return _dealt_alone(area, options) == SETS.index(name)
    # areas lie far apart
    place = position_m[:, :2] + _APART_M * area[:, None]
    dealt = _dealt(place, options)
    kept = np.zeros(len(place), dtype=bool)
    for number in range(SETS.index(name) + 1):
        mine = dealt == number
        if options.guard_m and kept.any() and mine.any():
            distance, _ = cKDTree(place[kept]).query(place[mine])
            mine[np.flatnonzero(mine)[distance < options.guard_m]] = False
        last, kept = mine, kept | mine
    return last


def _dealt_alone(area: np.ndarray, options: RayTraced) -> np.ndarray:
    """The number of the set of each position, dealt one by one or with its area."""
    if options.split == "areas":
        areas, of_area = np.unique(area, return_inverse=True)
        return _set_of(np.array([_share(options, "area", number) for number in areas.tolist()]), options)[of_area]
    draw = np.random.default_rng(stream_seed(options.split_seed, "positions"))
    return _set_of(draw.random(len(area)), options)


def _share(options: RayTraced, *what: str | int) -> float:
    return stream_seed(options.split_seed, *what) / 2**63


def _set_of(share: np.ndarray, options: RayTraced) -> np.ndarray:
    return np.searchsorted(np.cumsum([options.test_share, options.validation_share]), share, side="right")


def _dealt(place: np.ndarray, options: RayTraced) -> np.ndarray:
    """The number of the set of each position's block."""
    blocks, block = np.unique(np.floor(place / options.block_m).astype(int), axis=0, return_inverse=True)
    return _set_of(np.array([_share(options, "block", *pair) for pair in blocks.tolist()]), options)[block.ravel()]


def drawn_positions(count: int, batch_size: int, num_users: int, stream: torch.Generator,
                    area: torch.Tensor | None = None) -> torch.Tensor:
    """Positions of every user, ``[batch, user]``: none twice until too few are left for a drop.

    :param area: of each position; the users of a drop stand in one.
    """
    if area is not None and num_users > 1:
        return _drawn_together(area, batch_size, num_users, stream)
    drops: list[torch.Tensor] = []
    while len(drops) < batch_size:
        order = torch.randperm(count, generator=stream)
        drops += order[:count - count % num_users].view(-1, num_users)
    return torch.stack(drops[:batch_size])


def _drawn_together(area: torch.Tensor, batch_size: int, num_users: int, stream: torch.Generator) -> torch.Tensor:
    """Areas at random, among those with positions enough, and users at random in each."""
    numbers, counts = area.unique(return_counts=True)
    numbers = numbers[counts >= num_users]
    picked = numbers[torch.randint(len(numbers), (batch_size,), generator=stream)]
    drops = []
    for number in picked.tolist():
        here = (area == number).nonzero().flatten()
        drops.append(here[torch.randperm(len(here), generator=stream)[:num_users]])
    return torch.stack(drops)
