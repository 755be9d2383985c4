"""Normalised mean-square error in its conventions; they differ by several dB on the same data."""

from __future__ import annotations

import torch


def squared_error(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """|h_hat - h|^2 summed over all but the first two dimensions: ``[batch, user, ...]`` to ``[batch, user]``."""
    return (h_hat - h).abs().square().flatten(2).sum(-1)


def squared_norm(h: torch.Tensor) -> torch.Tensor:
    """|h|^2 summed over all but the first two dimensions: ``[batch, user, ...]`` to ``[batch, user]``."""
    return h.abs().square().flatten(2).sum(-1)


def nmse_per_drop(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Linear NMSE of every drop and user: ``[batch, user, ...]`` to ``[batch, user]``."""
    return squared_error(h_hat, h) / squared_norm(h)


def nmse(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Linear NMSE: mean over drops (and users) of the per-drop ratio. Scalar; not in dB.

    :param h_hat: estimate, ``[batch, user, ...]``.
    :param h: truth, same shape.
    """
    return nmse_per_drop(h_hat, h).mean()
