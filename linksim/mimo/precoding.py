"""Linear precoders as functions of the channel, and what they are made of: effective channels, loading, power.

All take ``h``, ``[..., user, ue_ant, bs_ant]``, finite, and give weights of unit total power, ``[..., bs_ant, user *
num_streams]``, users outermost; zero where the channel is zero.
"""

from __future__ import annotations

import torch

DEFICIENT = 1e-9
"""A Gram matrix whose Cholesky pivots spread further than this is treated as rank deficient."""


def maximum_ratio(h: torch.Tensor, num_streams: int) -> torch.Tensor:
    """The conjugate channel, equal power per stream."""
    return equal_power(effective_channel(h, num_streams).mH)


def zero_forcing(h: torch.Tensor, num_streams: int) -> torch.Tensor:
    """No interference if the channel is right, equal power per stream."""
    return equal_power(regularized_inverse(effective_channel(h, num_streams), 0.0))


def regularized_zero_forcing(h: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
    """Loading by streams x noise variance, equal power per stream.

    Source: Peel, Hochwald, Swindlehurst, IEEE Trans. Commun. 53(1), 2005, eq. (21): loading K sigma^2 / P.
    """
    channel = effective_channel(h, num_streams)
    return equal_power(regularized_inverse(channel, channel.shape[-2] * noise_variance))


def singular_vectors(h: torch.Tensor, noise_variance: float, num_streams: int, power: str = "water_filling"
                     ) -> torch.Tensor:
    """Each user's right singular vectors, its channel first projected on the null space of the others'.

    :param power: "water_filling" over all streams, or "equal".

    Source: Spencer, Swindlehurst, Haardt, IEEE Trans. Signal Process. 52(2), 2004 (block diagonalisation).
    """
    num_users, bs_ant = h.shape[-3], h.shape[-1]
    identity = torch.eye(bs_ant, dtype=h.dtype, device=h.device)
    directions, gains = [], []
    for user in range(num_users):
        own = h[..., user, :, :]
        if num_users > 1:
            others = torch.cat([h[..., :user, :, :], h[..., user + 1:, :, :]], -3).flatten(-3, -2)
            own = own @ (identity - regularized_inverse(others, 0.0) @ others)
        _, singular, right = torch.linalg.svd(own, full_matrices=False)
        directions.append(right.mH[..., :num_streams])
        gains.append(singular[..., :num_streams] ** 2)
    gain = torch.cat(gains, -1)
    if power == "equal":
        share = (gain > 0).to(gain.dtype)
        share = share / share.sum(-1, keepdim=True).clamp_min(1)
    else:
        share = water_filling(gain / max(noise_variance, torch.finfo(gain.dtype).tiny))
    return torch.cat(directions, -1) * share.sqrt().unsqueeze(-2)


def band_precoder(h: torch.Tensor, num_streams: int) -> torch.Tensor:
    """The one precoder for the whole band that gets most power across: orthonormal columns, the strongest first.

    :param h: of one user each, ``[sample, ue_ant, bs_ant, subcarrier]``.
    :returns: complex, ``[sample, bs_ant, stream]``.
    """
    covariance = torch.einsum("suak,subk->sab", h.conj(), h)
    return torch.linalg.eigh(covariance).eigenvectors[..., -num_streams:].flip(-1)


def effective_channel(h: torch.Tensor, num_streams: int) -> torch.Tensor:
    """Rows that the streams see when each user combines along its strongest left singular vectors.

    :param h: ``[..., user, ue_ant, bs_ant]``.
    :param num_streams: per user, at most ``ue_ant``.
    :returns: ``[..., user * num_streams, bs_ant]``.
    """
    if h.shape[-2] == 1:
        return h.squeeze(-2)
    left = torch.linalg.svd(h, full_matrices=False)[0][..., :num_streams]
    return (left.mH @ h).flatten(-3, -2)


def regularized_inverse(h: torch.Tensor, loading: float | torch.Tensor) -> torch.Tensor:
    """H^H (H H^H + loading I)^-1, with more loading where the Gram matrix is rank deficient.

    :param h: ``[..., stream, bs_ant]``, finite.
    :param loading: non-negative; a number, or ``[..., 1, 1]`` in double precision.
    :returns: ``[..., bs_ant, stream]``; zero where ``h`` is zero.
    """
    gram = gram_matrix(h)
    scale = gram.diagonal(dim1=-2, dim2=-1).real.mean(-1)[..., None, None]
    identity = torch.eye(h.shape[-2], dtype=gram.dtype, device=h.device)
    loaded = gram + loading * identity
    deficient = is_deficient(loaded)[..., None, None]
    # small beside any usable eigenvalue, large beside the rounding of complex64 CSI
    loaded = loaded + deficient * (1e-5 * scale + torch.finfo(torch.float32).tiny) * identity
    # the explicit inverse of many small matrices is ten times faster than solving with wide right-hand sides
    return (torch.linalg.inv(loaded).to(h.dtype) @ h).mH


def gram_matrix(h: torch.Tensor) -> torch.Tensor:
    """H H^H in double precision, so that nearly parallel users are told apart: ``[..., stream, stream]``."""
    wide = h.to(torch.complex128)
    return wide @ wide.mH


def is_deficient(gram: torch.Tensor) -> torch.Tensor:
    """Whether Hermitian matrices ``[..., n, n]`` are numerically singular; ``[...]`` bool."""
    factor, info = torch.linalg.cholesky_ex(gram)
    pivots = factor.diagonal(dim1=-2, dim2=-1).real ** 2
    return (info > 0) | ~(pivots.amin(-1) > DEFICIENT * pivots.amax(-1))


def equal_power(weights: torch.Tensor) -> torch.Tensor:
    """Columns scaled to equal power, unit total; zero columns stay zero. ``[..., bs_ant, stream]``."""
    norm = torch.view_as_real(weights.resolve_conj()).square().sum((-3, -1)).sqrt().unsqueeze(-2)
    unit = weights / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    return unit / weights.shape[-1] ** 0.5


def water_filling(gains: torch.Tensor, total: float = 1.0) -> torch.Tensor:
    """Power that maximises sum log2(1 + gain * power) under a sum constraint.

    :param gains: ``[..., n]``, channel gain over noise of each parallel channel, non-negative.
    :param total: power to spend.
    :returns: ``[..., n]``, non-negative, summing to ``total`` (to 0 where every gain is 0).

    Source: Cover and Thomas, Elements of Information Theory, 2nd ed., section 9.4.
    """
    gain = gains.double()
    order = gain.argsort(-1, descending=True)
    inverse = 1.0 / gain.gather(-1, order).clamp_min(torch.finfo(gain.dtype).tiny ** 0.5)
    count = torch.arange(1, gain.shape[-1] + 1, dtype=gain.dtype, device=gain.device)
    level = (total + inverse.cumsum(-1)) / count
    used = (level > inverse).sum(-1, keepdim=True).clamp_min(1)
    power = (level.gather(-1, used - 1) - inverse).clamp_min(0) * (count <= used)
    # a level far above the total (tiny gains) cancels: rescale to the total
    power = power * (total / power.sum(-1, keepdim=True).clamp_min(torch.finfo(gain.dtype).tiny))
    power = torch.where(gain.amax(-1, keepdim=True) > 0, power, 0.0)
    return torch.zeros_like(gains).scatter(-1, order, power.to(gains.dtype))
