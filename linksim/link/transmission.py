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
    if ue_ant == 1:
        power = received.squeeze(-2).abs().square()  # [..., user, all streams]
        # summed without the stream's own power: total minus own would cancel at high SNR
        others = 1 - torch.eye(power.shape[-1], dtype=power.dtype, device=power.device)
        sinr = power / (power @ others + noise_variance)
        return _own(sinr, num_users, num_streams)
    received = received.to(torch.complex128)
    noise = noise_variance * torch.eye(ue_ant, dtype=received.dtype, device=h.device)
    filtered = torch.linalg.inv(received @ received.mH + noise) @ received
    share = _own((received.conj() * filtered).sum(-2).real, num_users, num_streams)
    return (share / (1 - share).clamp_min(torch.finfo(share.dtype).eps)).to(h.real.dtype)


def _own(values: torch.Tensor, num_users: int, num_streams: int) -> torch.Tensor:
    """Each user's own streams: ``[..., user, user * stream]`` to ``[..., user, stream]``."""
    return values.unflatten(-1, (num_users, num_streams)).diagonal(dim1=-3, dim2=-2).mT


def achievable_rate(sinr: torch.Tensor) -> torch.Tensor:
    """Sum over streams of log2(1 + SINR): ``[..., stream]`` to ``[...]``, bit/s/Hz."""
    return torch.log2(1 + sinr).sum(-1)
