"""Sum capacity of the multi-user downlink: what no linear precoder can pass."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from linksim.bounds.base import Bound, Row, Seen
from linksim.core.registry import create, register
from linksim.mimo.precoding import water_filling
from linksim.mimo.receiver import achievable_rate, stream_sinr

SAMPLES = 8
"""Resources of a drop on which the capacity is computed: it is far dearer than a rate."""


def drop_capacity(true: torch.Tensor, noise_variance: float) -> torch.Tensor:
    """Sum capacity of every drop: its gap to RZF with perfect CSI on a few resources, added to RZF's mean over all.

    The gap varies far less over a drop than the capacity, and is never negative, so that the bound lies above
    the reference in every drop.

    :param true: ``[batch, time, subcarrier, user, ue_ant, bs_ant]``.
    :param noise_variance: per complex entry.
    :returns: ``[batch]``, bit/s/Hz.
    """
    time, subcarrier, user, ue_ant = true.shape[1:5]
    weights = create("precoder", "rzf").precode(true, noise_variance, ue_ant)
    rate = achievable_rate(stream_sinr(true, weights, noise_variance)).sum(-1).flatten(1)
    # one user's capacity is a single water-filling, cheap enough for every resource
    samples = time * subcarrier if user == 1 else min(SAMPLES, time * subcarrier)
    picked = ((torch.arange(samples) + 0.5) * (time * subcarrier / samples)).long().to(true.device)
    gap = sum_capacity(true.flatten(1, 2)[:, picked], noise_variance) - rate[:, picked]
    return rate.mean(1) + gap.mean(1).to(rate)


def sum_capacity(h: torch.Tensor, noise_variance: float, num_iterations: int = 40) -> torch.Tensor:
    """Capacity of the broadcast channel at unit power (dirty-paper coding), by its dual uplink.

    Sum-power iterative water-filling on the dual multiple-access channel, with the averaging over the last
    ``user`` steps that makes it converge (Algorithm 2). Works on the Gram matrix of all receive antennas.

    :param h: ``[..., user, ue_ant, bs_ant]``.
    :param noise_variance: per complex entry.
    :param num_iterations: of the water-filling; one is enough for a single user.
    :returns: ``[...]``, bit/s/Hz.

    Source: Jindal, Rhee, Vishwanath, Jafar, Goldsmith, IEEE Trans. Inf. Theory 51(4), 2005.
    """
    users, ue_ant = h.shape[-3:-1]
    stacked = h.flatten(-3, -2).to(torch.complex128)
    gram = stacked @ stacked.mH / noise_variance  # [..., user * ue_ant, user * ue_ant]
    size = users * ue_ant
    identity = torch.eye(size, dtype=gram.dtype, device=gram.device)
    root = identity.expand_as(gram) / size**0.5  # square root of the block-diagonal input covariance
    for _ in range(num_iterations if users > 1 else 1):
        modes, gains = [], []
        for user in range(users):
            own = slice(user * ue_ant, (user + 1) * ue_ant)
            others = root.clone()
            others[..., own, own] = 0
            # interference-whitened channel of this user, by the matrix inversion lemma
            cross = gram[..., own, :] @ others
            inner = identity + others.mH @ gram @ others
            whitened = gram[..., own, own] - cross @ torch.linalg.solve(inner, cross.mH)
            if ue_ant == 1:
                gains.append(whitened[..., 0].real.clamp_min(0))
                modes.append(torch.ones_like(whitened))
            else:
                gain, mode = torch.linalg.eigh(whitened)
                gains.append(gain.clamp_min(0))
                modes.append(mode)
        power = water_filling(torch.cat(gains, -1))
        update = torch.zeros_like(gram)
        for user, mode in enumerate(modes):
            own = slice(user * ue_ant, (user + 1) * ue_ant)
            update[..., own, own] = (mode * power[..., None, own]) @ mode.mH
        root = _root((root @ root.mH * (users - 1) + update) / users, ue_ant)
    inner = identity + root.mH @ gram @ root
    log_determinant: torch.Tensor = torch.linalg.slogdet(inner)[1]
    return log_determinant / math.log(2)


def _root(covariance: torch.Tensor, ue_ant: int) -> torch.Tensor:
    """Square root of a block-diagonal covariance, block by block."""
    if ue_ant == 1:
        return covariance.real.clamp_min(0).sqrt().to(covariance.dtype)
    values: torch.Tensor
    vectors: torch.Tensor
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.mH


@register("bound", "sum_capacity", title="sum capacity")
class SumCapacity(Bound):
    """Dirty-paper coding with the true channel, power split over users at will.

    See `linksim.bounds.capacity`.
    """

    def rows(self, seen: Seen) -> Iterator[Row]:
        if not seen.needs_link:
            return
        capacity = seen.once(("sum_capacity", seen.noise_variance),
                             lambda: drop_capacity(seen.true, seen.noise_variance))
        yield self.title, {"sum_rate_bps_hz": capacity[:, None].expand(-1, seen.true.shape[3])}
