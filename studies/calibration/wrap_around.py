"""Geographical wrap-around of 19 sites: every terminal sees the nearest image of every site.

Sionna 2.2's `gen_tr38901_multicell_topology` has this too, but turns the images by 90 degrees against its sites: they
overlap (the nearest two lie 0.6 of the distance between sites apart), and 7 % of the terminals are nearer to an image
of another site than to their own. Its models take the places of the images as an argument, so we give ours.
"""

from __future__ import annotations

import math

import torch

_IMAGES = ((0, 0), (-2, 5), (3, 2), (5, -3), (2, -5), (-3, -2), (-5, 3))
"""Seven clusters of 19 sites tile the plane: a^2 + a b + b^2 = 19 in steps along two sides of the triangular grid."""


def image_offsets_m(distance_between_sites_m: float) -> torch.Tensor:
    """Places of the cluster's images, ``[image, 2]``; the first is the cluster itself."""
    sides = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(3) / 2]], dtype=torch.float64)
    return torch.tensor(_IMAGES, dtype=torch.float64) @ sides * distance_between_sites_m


def nearest_images(ut_loc: torch.Tensor, bs_loc: torch.Tensor, distance_between_sites_m: float) -> torch.Tensor:
    """Where each terminal sees each base station.

    :param ut_loc: ``[batch, user, 3]``, m.
    :param bs_loc: ``[batch, bs, 3]``, m, on a triangular grid with a side along x.
    :returns: ``[batch, bs, user, 3]``, m.
    """
    offsets = image_offsets_m(distance_between_sites_m).to(bs_loc)
    images = bs_loc[:, :, None, :2] + offsets  # [batch, bs, image, 2]
    distance = (images.unsqueeze(2) - ut_loc[:, None, :, None, :2]).norm(dim=-1)  # [batch, bs, user, image]
    nearest = distance.argmin(-1)
    place = bs_loc[:, :, None, :2] + offsets[nearest]
    return torch.cat([place, bs_loc[:, :, None, 2:].expand(*place.shape[:3], 1)], -1)
