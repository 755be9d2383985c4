"""Downlink transmission over the true channel: SINR and achievable rate."""

from __future__ import annotations

import torch


def stream_sinr(h: torch.Tensor, weights: torch.Tensor, noise_variance: float) -> torch.Tensor:
    """SINR of every stream after each user's LMMSE receiver, interference of all other streams included.

    The receiver knows its own effective channel; the transmitter's error shows in ``weights`` alone.

    :param h: true channel ``[..., user, ue_ant, bs_ant]``.
    :param weights: ``[..., bs_ant, user * stream]``, users outermost.
    :param noise_variance: per complex entry.
    :returns: ``[..., user, stream]``.

    Source: Tse and Viswanath, Fundamentals of Wireless Communication, section 8.3.3.
    """
    num_users, ue_ant = h.shape[-3:-1]
    num_streams = weights.shape[-1] // num_users
    received = h @ weights.unsqueeze(-3)  # [..., user, ue_ant, all streams]
    own = torch.stack(
        [received[..., u, :, u * num_streams:(u + 1) * num_streams] for u in range(num_users)], -3
    )
    if ue_ant == 1:
        total = received.abs().square().sum((-2, -1)) + noise_variance
        signal = own.abs().square().squeeze(-2)
        return signal / (total.unsqueeze(-1) - signal)
    noise = noise_variance * torch.eye(ue_ant, dtype=h.dtype, device=h.device)
    covariance = received @ received.mH + noise
    share = (own.conj() * torch.linalg.solve(covariance, own)).sum(-2).real
    return share / (1 - share).clamp_min(torch.finfo(share.dtype).eps)


def achievable_rate(sinr: torch.Tensor) -> torch.Tensor:
    """Sum over streams of log2(1 + SINR): ``[..., stream]`` to ``[...]``, bit/s/Hz."""
    return torch.log2(1 + sinr).sum(-1)
