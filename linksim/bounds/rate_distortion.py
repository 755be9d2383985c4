"""The floor under every CSI report: what any code needs when both sides know the geometry of the drop.

With delays, angles and powers of all rays known, the channel is h = A x with independent x of unit variance (see
`linksim.bounds.genie`). Its covariance A A^H has the eigenvalues of the small Gram matrix A^H A, and reverse
water-filling on them gives the least mean square error at a rate. Every column of A stands for one ray and
polarisation component; there are hundreds, so that h is Gaussian to a good approximation (a Gaussian source is the
hardest of its covariance).

Source: Cover and Thomas, Elements of Information Theory, 2nd ed., Theorem 10.3.3; complex components count twice.
"""

from __future__ import annotations

import math

import torch

from linksim.bounds.genie import ray_factors
from linksim.channel.drops import Drops


def reverse_water_filling(eigenvalues: torch.Tensor, bits: float) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Least mean square error of a complex Gaussian vector at a rate.

    .. math:: D = \sum_i \min(\lambda_i, \theta),\qquad \sum_i \max(0, \log_2 \lambda_i / \theta) = \text{bits}

    :param eigenvalues: of its covariance, ``[..., component]``, non-negative, in any order.
    :param bits: to spend on the whole vector, not negative.
    :returns: the error ``D`` and the water level ``theta``, ``[...]`` each, double precision.
    """
    sorted_values = eigenvalues.double().clamp_min(0).sort(-1, descending=True).values
    logarithm = sorted_values.clamp_min(torch.finfo(torch.float64).tiny).log2()
    count = torch.arange(1, sorted_values.shape[-1] + 1, device=sorted_values.device)
    # the level if the first components alone were served: right where it lies below the last one served
    level = (logarithm.cumsum(-1) - bits) / count
    served = (level <= logarithm).sum(-1, keepdim=True).clamp_min(1)
    water = torch.exp2(level.gather(-1, served - 1))
    water = torch.minimum(water, sorted_values[..., :1])
    return torch.minimum(sorted_values, water).sum(-1), water.squeeze(-1)


def ray_eigenvalues(drops: Drops) -> list[list[torch.Tensor]]:
    """Eigenvalues of every downlink's covariance at one instant, the ray geometry of the drop known.

    :param drops: truth and rays.
    :returns: ``[component]`` for each user and drop, double precision.
    """
    found = []
    for user in range(drops.future.h.shape[1]):
        antennas, _, tones = ray_factors(drops.downlink_rays, user, drops.downlink, drops.future.time_s[:1],
                                         drops.reference_hz)
        per_drop = []
        for ports, delays in zip(antennas.flatten(1, 2), tones):
            used = ports.abs().square().sum(0) > 0
            ports, delays = ports[:, used], delays[:, used]
            per_drop.append(torch.linalg.eigvalsh((ports.mH @ ports).mul_(delays.mH @ delays)).clamp_min(0))
        found.append(per_drop)
    return found


def least_error(eigenvalues: list[list[torch.Tensor]], bits: float) -> torch.Tensor:
    """Least NMSE of a downlink report of so many bits, the ray geometry of the drop known for free.

    :param eigenvalues: of `ray_eigenvalues`.
    :param bits: per report and user.
    :returns: linear NMSE, expected over the ray phases, ``[batch, user]``, double precision.
    """
    return torch.stack([torch.stack([reverse_water_filling(one, bits)[0] / one.sum() for one in per_drop])
                        for per_drop in eigenvalues], 1)


def decibel_of_mean(nmse: torch.Tensor) -> float:
    """Mean of linear values, in dB."""
    return 10 * math.log10(float(nmse.mean()))
