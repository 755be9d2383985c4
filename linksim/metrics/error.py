"""Normalised mean-square error in its conventions; they differ by several dB on the same data."""

from __future__ import annotations

import torch

from linksim.mimo.angle_delay import to_delay


def squared_error(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """|h_hat - h|^2 summed over all but the first two dimensions: ``[batch, user, ...]`` to ``[batch, user]``."""
    return (h_hat - h).abs().square().flatten(2).sum(-1)


def squared_norm(h: torch.Tensor) -> torch.Tensor:
    """|h|^2 summed over all but the first two dimensions: ``[batch, user, ...]`` to ``[batch, user]``."""
    return h.abs().square().flatten(2).sum(-1)


def nmse_per_drop(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Linear NMSE of every drop and user: ``[batch, user, ...]`` to ``[batch, user]``; NaN where the truth is zero."""
    return _ratio(squared_error(h_hat, h), squared_norm(h))


def _ratio(error: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
    return torch.where(norm > 0, error / norm, torch.nan)


def nmse(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Linear NMSE: mean over drops (and users) of the per-drop ratio. Scalar; not in dB.

    :param h_hat: estimate, ``[batch, user, ...]``.
    :param h: truth, same shape.
    """
    return nmse_per_drop(h_hat, h).mean()


def window_nmse_per_drop(h_hat: torch.Tensor, h: torch.Tensor, num_rows: int = 32) -> torch.Tensor:
    """Linear NMSE of the first delay rows alone, as the CsiNet line of papers reports it.

    :param h_hat: ``[batch, user, ..., subcarrier]``; ``h`` likewise.
    :param num_rows: of the window; a narrower band has all of its rows in it.
    :returns: ``[batch, user]``; NaN where the window of the truth is empty.
    """
    error, power = (to_delay(x)[..., :num_rows].abs().square().flatten(2).sum(-1)
                    for x in (h_hat - h, h))
    return _ratio(error, power)
