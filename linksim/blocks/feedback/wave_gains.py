"""Gains of plane waves that are not orthogonal, quantised so that each error is made up for by those after it."""

from __future__ import annotations

import torch

ROUNDING = 0.45
"""Added before a magnitude is rounded down: zeros are cheaper."""


def quantized_gains(gram: torch.Tensor, correlation: torch.Tensor, energy: torch.Tensor, count: torch.Tensor,
                    step: torch.Tensor) -> torch.Tensor:
    """Gains of the first waves of each user in whole steps, from the last wave to the first (the strongest).

    Decisions are fed back: what one gain is wrong by, the ones decided after it take into account.

    :param gram: complex128, ``[user, wave, wave]``; ``correlation``, ``[user, wave, gain]``.
    :param energy: of the channel, ``[user]``.
    :param count: waves used, ``[user]``; the others get gains of zero.
    :param step: of the quantiser, ``[user]``.
    :returns: whole numbers of steps, int64, ``[user, wave, gain, 2]``, real and imaginary part.

    Source: the nearest plane algorithm, Babai, "On Lovasz' lattice reduction and the nearest lattice point problem",
    Combinatorica 6(1), 1986; known in detection as successive cancellation.
    """
    waves = gram.shape[1]
    used = torch.arange(waves) < count[:, None]
    both = used[:, :, None] & used[:, None, :]
    # errors of the quantiser's size are noise: twins do not get large gains of opposite sign
    noise = (step.square() / energy.clamp_min(1e-300) / 6).clamp_max(1.0)
    loading = torch.diag_embed(torch.where(used, noise[:, None], 1.0)).to(gram.dtype)
    loaded = torch.where(both, gram, 0) + loading
    lower, failed = torch.linalg.cholesky_ex(loaded)
    if failed.any():  # waves that double precision cannot tell apart, and a step finer than that
        lower = torch.linalg.cholesky(loaded + torch.where(failed > 0, 1e-9, 0.0)[:, None, None] * torch.eye(waves))
    target = torch.linalg.solve_triangular(lower, torch.where(used[..., None], correlation, 0), upper=False)
    upper = lower.mH
    gain = torch.zeros_like(correlation)
    steps = torch.zeros(*correlation.shape, 2, dtype=torch.long)
    for wave in reversed(range(int(count.max()) if len(count) else 0)):
        known = (upper[:, wave:wave + 1, wave + 1:] @ gain[:, wave + 1:])[:, 0]
        value = torch.view_as_real((target[:, wave] - known) / upper[:, wave, wave, None]) / step[:, None, None]
        whole = (value.abs() + ROUNDING).floor().copysign(value) * used[:, wave, None, None]
        steps[:, wave] = whole.long()
        gain[:, wave] = torch.view_as_complex(whole.contiguous()) * step[:, None]
    return steps


def squared_error(gram: torch.Tensor, correlation: torch.Tensor, energy: torch.Tensor, gain: torch.Tensor
                  ) -> torch.Tensor:
    """What waves of these gains leave of the channels' energy, ``[user]``.

    :param gain: complex128, ``[user, wave, gain]``; ``energy``, ``[user]``.
    """
    cross = (correlation.conj() * gain).sum((1, 2)).real
    own = (gain.conj() * (gram @ gain)).sum((1, 2)).real
    return energy - 2 * cross + own
