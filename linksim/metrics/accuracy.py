"""How near an estimated channel is to the true one: NMSE, over beams and delays and over the full band, and SGCS."""

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


def _dominant(h: torch.Tensor) -> torch.Tensor:
    """Dominant right singular vectors times their singular values (so that a zero channel gives zero):
    ``[batch, user, ue_ant, bs_ant, time, subcarrier]`` to ``[batch, user, time, subcarrier, bs_ant]``."""
    if h.shape[2] == 1:
        return h[:, :, 0].movedim(2, -1).conj()
    values: torch.Tensor
    right: torch.Tensor
    _, values, right = torch.linalg.svd(h.permute(0, 1, 4, 5, 2, 3), full_matrices=False)
    return values[..., :1] * right[..., 0, :].conj()


def _cosine(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """|<a, b>| / (|a| |b|) over the last dimension; 0 where one of them is zero."""
    inner = (h_hat.conj() * h).sum(-1).abs()
    norms: torch.Tensor = torch.linalg.vector_norm(h_hat, dim=-1) * torch.linalg.vector_norm(h, dim=-1)
    return inner / norms.clamp_min(torch.finfo(norms.dtype).tiny)


def sgcs_per_drop(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """SGCS in eigenvector form of every drop and user: ``[batch, user]``, 0 to 1. See `sgcs`."""
    return _cosine(_dominant(h_hat), _dominant(h)).square().mean((-2, -1))


def sgcs(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Squared generalised cosine similarity, per-subcarrier eigenvector form. Scalar, 0 to 1.

    Mean over drops, users, times and subcarriers of |v_hat^H v|^2 / (|v_hat|^2 |v|^2), v the dominant right
    singular vector.

    :param h_hat: estimate, ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
    :param h: truth, same shape.

    Source: 3GPP TR 38.843, clause 6.2.2.
    """
    return sgcs_per_drop(h_hat, h).mean()


def sgcs_trace_per_drop(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Trace form, |<h_hat, h>|^2 / (|h_hat|^2 |h|^2) over all entries: ``[batch, user]``.

    Equals 1 minus the smallest NMSE over one complex gain.
    """
    return _cosine(h_hat.flatten(2), h.flatten(2)).square()


def rho_per_drop(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """CsiNet's rho, not squared, mean over times and subcarriers: ``[batch, user]``.

    Source: Wen, Shih, Jin, IEEE Wireless Commun. Lett. 7(5), 2018, eq. (8).
    """
    columns = h.permute(0, 1, 4, 5, 2, 3).flatten(-2)
    columns_hat = h_hat.permute(0, 1, 4, 5, 2, 3).flatten(-2)
    return _cosine(columns_hat, columns).mean((-2, -1))
