"""The LMMSE receiver of a user's streams, the SINR behind it, and the rate that this achieves."""

from __future__ import annotations

import torch


def lmmse(own: torch.Tensor, received: torch.Tensor, noise_variance: float | torch.Tensor
          ) -> tuple[torch.Tensor, torch.Tensor]:
    """LMMSE filters of a user's own streams; what other streams send is interference.

    In double precision: at high SNR, what is left of a symbol differs from one by little.

    :param own: effective channel of the streams that are wanted, complex, ``[..., ue_ant, stream]``.
    :param received: that of all streams, the wanted ones included, ``[..., ue_ant, all streams]``.
    :param noise_variance: per complex entry; a tensor broadcasts against ``[...]``.
    :returns: filters ``[..., stream, ue_ant]``, complex128, and what they leave of each stream's symbol, SINR / (1 +
        SINR), ``[..., stream]``, float64: divided by it, detected symbols are unbiased.

    Source: Tse and Viswanath, Fundamentals of Wireless Communication, section 8.3.3.
    """
    own, received = own.to(torch.complex128), received.to(torch.complex128)
    noise = torch.as_tensor(noise_variance, dtype=torch.float64, device=own.device)[..., None, None]
    if own.shape[-2] == 1:
        filters = own.mH / (torch.view_as_real(received).square().sum((-2, -1)).unsqueeze(-1) + noise)
    else:
        covariance = received @ received.mH + noise * torch.eye(own.shape[-2], dtype=own.dtype, device=own.device)
        filters = torch.linalg.solve(covariance, own).mH
    return filters, (filters.mT * own).sum(-2).real


def own_streams(received: torch.Tensor) -> torch.Tensor:
    """Each user's own among the streams of all, ``[..., user, ue_ant, user * stream]`` (users outermost) to
    ``[..., user, ue_ant, stream]``."""
    by_user = received.unflatten(-1, (received.shape[-3], -1))
    return by_user.diagonal(dim1=-4, dim2=-2).movedim(-1, -3)


def stream_sinr(h: torch.Tensor, weights: torch.Tensor, noise_variance: float) -> torch.Tensor:
    """SINR of every stream after each user's LMMSE receiver, interference of all other streams included.

    The receiver knows its own effective channel; the transmitter's error shows in ``weights`` alone.

    :param h: true channel ``[..., user, ue_ant, bs_ant]``.
    :param weights: ``[..., bs_ant, user * stream]``, users outermost.
    :param noise_variance: per complex entry.
    :returns: ``[..., user, stream]``.
    """
    received = h @ weights.unsqueeze(-3)  # [..., user, ue_ant, all streams]
    _, share = lmmse(own_streams(received), received, noise_variance)
    return (share / (1 - share).clamp_min(torch.finfo(share.dtype).eps)).to(h.real.dtype)


def achievable_rate(sinr: torch.Tensor) -> torch.Tensor:
    """Sum over streams of log2(1 + SINR): ``[..., stream]`` to ``[...]``, bit/s/Hz."""
    return torch.log2(1 + sinr).sum(-1)
