"""Singular-vector precoding with water-filling; block diagonalisation for several users."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.precoding.base import Precoder
from linksim.blocks.precoding.linear import regularized_inverse, water_filling
from linksim.registry import register
from linksim.scenario.requirements.precoding import null_space


@register("precoder", "svd", requires=null_space)
class SvdPrecoder(Precoder):
    """Right singular vectors with water-filling over all streams; users kept apart by block diagonalisation.

    For one user this attains the capacity of its channel. For several, each user's channel is first projected
    on the null space of the others' (Spencer, Swindlehurst, Haardt, IEEE Trans. Signal Process. 52(2), 2004),
    which needs ``bs_ant`` >= all the others' antennas plus the streams.

    :param power: "water_filling", which may leave weak streams without any; or "equal", for what must reach every
        stream, such as the symbols of a semantic codec.
    """

    def __init__(self, power: Literal["water_filling", "equal"] = "water_filling") -> None:
        super().__init__()
        self.power = power

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        num_users, bs_ant = h_hat.shape[-3], h_hat.shape[-1]
        identity = torch.eye(bs_ant, dtype=h_hat.dtype, device=h_hat.device)
        directions, gains = [], []
        for user in range(num_users):
            own = h_hat[..., user, :, :]
            if num_users > 1:
                others = torch.cat([h_hat[..., :user, :, :], h_hat[..., user + 1:, :, :]], -3).flatten(-3, -2)
                own = own @ (identity - regularized_inverse(others, 0.0) @ others)
            _, singular, right = torch.linalg.svd(own, full_matrices=False)
            directions.append(right.mH[..., :num_streams])
            gains.append(singular[..., :num_streams] ** 2)
        gain = torch.cat(gains, -1)
        if self.power == "equal":
            power = (gain > 0).to(gain.dtype)
            power = power / power.sum(-1, keepdim=True).clamp_min(1)
        else:
            power = water_filling(gain / max(noise_variance, torch.finfo(gain.dtype).tiny))
        return torch.cat(directions, -1) * power.sqrt().unsqueeze(-2)
