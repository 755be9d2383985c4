"""Per-drop measures of an estimate of the future channel, and of the link that uses it."""

from __future__ import annotations

from typing import Any

import torch

from linksim.core.csi import Csi
from linksim.core.errors import NumericalError
from linksim.core.registry import block_class
from linksim.metrics.catalogue import metric
from linksim.metrics.error import nmse_per_drop, squared_error, squared_norm, window_nmse_per_drop
from linksim.metrics.similarity import rho_per_drop, sgcs_per_drop, sgcs_trace_per_drop
from linksim.mimo.precoding import effective_channel, gram_matrix, is_deficient
from linksim.mimo.receiver import achievable_rate, stream_sinr
from linksim.scenario.resolved import ResolvedScenario


def csi_measures(h_hat: torch.Tensor, h: torch.Tensor, directions_only: bool = False) -> dict[str, torch.Tensor]:
    """Measures that need no link: each ``[batch, user]``; see `linksim.metrics.catalogue`.

    A silent channel (all zeros) can be estimated neither well nor badly: errors and similarities are NaN there.

    :param h_hat: estimate of the future, ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
    :param h: truth, same shape.
    :param directions_only: ``h_hat`` tells dominant right singular vectors alone (``ue_ant`` may differ): SGCS only.
    """
    norm = squared_norm(h)

    def heard(values: torch.Tensor) -> torch.Tensor:
        return torch.where(norm > 0, values, torch.nan)

    if directions_only:
        return {"sgcs": heard(sgcs_per_drop(h_hat, h))}
    measures = {
        "nmse": nmse_per_drop(h_hat, h),
        "nmse_window": window_nmse_per_drop(h_hat, h),
        "squared_error": squared_error(h_hat, h),
        "squared_norm": norm,
        "sgcs": heard(sgcs_per_drop(h_hat, h)),
        "sgcs_trace": heard(sgcs_trace_per_drop(h_hat, h)),
        "rho": heard(rho_per_drop(h_hat, h)),
    }
    for step in range(h.shape[-2]):
        measures[f"nmse_step_{step + 1}"] = nmse_per_drop(h_hat[..., step:step + 1, :], h[..., step:step + 1, :])
    return measures


def link_measures(weights: torch.Tensor, true: torch.Tensor, noise_variance: float) -> dict[str, torch.Tensor]:
    """Rates with these weights on the true channel: each ``[batch, user]``.

    :param weights: ``[batch, time, subcarrier, bs_ant, user * stream]``.
    :param true: ``[batch, time, subcarrier, user, ue_ant, bs_ant]``.
    :param noise_variance: per complex entry.
    """
    rate = achievable_rate(stream_sinr(true, weights, noise_variance)).mean((1, 2))
    return {"rate_bps_hz": rate, "sum_rate_bps_hz": rate.sum(1, keepdim=True).expand_as(rate)}


def plugged_measures(scenario: ResolvedScenario, of_link: bool, *seen: Any) -> dict[str, torch.Tensor]:
    """Measures of the scenario's plugged-in metrics, each ``[batch, user]``.

    :param of_link: those of the link, computed from ``weights``, ``true`` and ``noise_variance`` as `link_measures`;
        else those of the CSI, from ``h_hat`` and ``h`` as `csi_measures`.
    :raises NumericalError: one of another shape.
    """
    found = {}
    for name in dict.fromkeys([*scenario.metrics, scenario.run.stopping.metric]):
        one = metric(name)
        if one.plugged and one.needs_link == of_link:
            values = block_class("metric", name)(*seen)
            batch, users = len(seen[1]), scenario.channel.num_users
            if not isinstance(values, torch.Tensor) or values.shape != (batch, users):
                given = list(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
                raise NumericalError(f"metric {name!r}: a tensor [batch, user] = [{batch}, {users}] is needed (given "
                                     f"{given})")
            found[name] = values
    return found


def mend(csi: Csi) -> tuple[Csi, int]:
    """Replace non-finite entries by zero.

    :returns: the CSI and the number of entries replaced.
    """
    finite = torch.isfinite(csi.h)
    bad = int((~finite).sum())
    return (csi.with_h(torch.where(finite, csi.h, torch.zeros_like(csi.h))), bad) if bad else (csi, 0)


def count_deficient(h_hat: torch.Tensor, num_streams: int) -> torch.Tensor:
    """How many resources of each drop have rank-deficient CSI across users (the precoders load those): ``[batch]``.

    :param h_hat: ``[batch, time, subcarrier, user, ue_ant, bs_ant]``.
    """
    return is_deficient(gram_matrix(effective_channel(h_hat, num_streams))).flatten(1).sum(1)
