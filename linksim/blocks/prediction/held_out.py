"""How far a spectrum that was learned from one history can be believed: samples of its own, held out, say."""

from __future__ import annotations

from dataclasses import replace

import torch

from linksim.blocks.prediction.doppler import temporal_correlation
from linksim.core.csi import Csi

# Noise assumed at each sample in `clarke_error`.
_NOISE = 1e-2


def clarke_error(history_s: torch.Tensor, target_s: torch.Tensor, max_doppler_hz: torch.Tensor) -> torch.Tensor:
    r"""What is left of Clarke's fading when the past is known at 20 dB: 0 if it can be foreseen, 1 if it cannot.

    :param history_s: ``[time]``; ``target_s`` ``[horizon]``, float64.
    :param max_doppler_hz: ``[user]``, float64.
    :returns: mean over the horizon, ``[user]``.
    """
    doppler_hz = max_doppler_hz[:, None, None]
    correlation = temporal_correlation(history_s[:, None] - history_s, doppler_hz)
    correlation = correlation + _NOISE * torch.eye(len(history_s), dtype=correlation.dtype, device=correlation.device)
    cross = temporal_correlation(target_s[:, None] - history_s, doppler_hz)
    return 1 - (cross * torch.linalg.solve(correlation, cross.mT).mT).sum(-1).mean(-1)


def hold_out(history: Csi, users: torch.Tensor, target_s: torch.Tensor) -> list[tuple[Csi, Csi]]:
    """Some users' histories without their newest samples, and these; then the same of the histories run backwards.

    Fading has no direction of time, so its beginning is as good a test as its end.

    :param users: indices into the flattened ``[batch, user]``; they become a batch of one user each.
    :param target_s: ``[horizon]``; as many samples are held out as lie before its end, a third of them at most.
    :returns: nothing for histories too short to be learned from and tested on.
    """
    history_s = history.time_s.double()
    num_samples = len(history_s)
    if num_samples < 3:
        return []
    steps = float(target_s.max() - history_s[-1]) / history.sampling_period_s
    first = num_samples - min(max(round(steps), 1), num_samples // 3)
    h = history.h.flatten(0, 1)[users, None]
    some = replace(history, h=h, noise_variance=history.noise_variance.flatten()[users, None],
                   max_doppler_hz=history.max_doppler_hz.flatten()[users, None])
    return [(some.with_h(x[..., :first, :], some.time_s[:first]), some.with_h(x[..., first:, :], some.time_s[first:]))
            for x in (h, h.flip(-2))]


def best_weight(one: torch.Tensor, other: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Weight of ``other``, from 0 to 1, in the mean of two predictions that is nearest to what was seen.

    L. Breiman, "Stacked regressions", Machine Learning 24, 1996. Noise in what was seen moves it to neither side.

    :param one: complex, ``[user, ...]``; the others alike.
    :returns: ``[user]``.
    """
    step, missing = ((x - one).flatten(1) for x in (other, truth))
    length = step.abs().square().sum(-1)
    return ((step.conj() * missing).real.sum(-1) / torch.where(length > 0, length, 1.0)).clamp(0, 1)
