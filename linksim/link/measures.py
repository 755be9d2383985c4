"""Per-drop measures of an estimate of the future channel, and of the link that uses it."""

from __future__ import annotations

from typing import Any

import torch

from linksim.blocks.semantic.base import SemanticCodec, relevance
from linksim.blocks.universal.base import UniversalBlock, truth_of, views_of
from linksim.blocks.universal.tasks import similarity
from linksim.core.csi import Csi, by_resource
from linksim.core.errors import NumericalError
from linksim.core.places import Places
from linksim.core.registry import block_class
from linksim.core.seeding import generator, stream_seed
from linksim.metrics.accuracy import (
    nmse_per_drop,
    rho_per_drop,
    sgcs_per_drop,
    sgcs_trace_per_drop,
    squared_error,
    squared_norm,
    window_nmse_per_drop,
)
from linksim.metrics.catalogue import metric
from linksim.metrics.retrieval import retrieval_measures
from linksim.mimo.angle_delay import dft_codebook
from linksim.mimo.precoding import effective_channel, gram_matrix, is_deficient
from linksim.mimo.receiver import achievable_rate, stream_sinr
from linksim.mimo.stream_link import caption_elements, stream_link
from linksim.scenario.resolved import ResolvedScenario
from linksim.scenario.schema import Semantic


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


@torch.inference_mode()
def retrieve(codec: SemanticCodec, true: torch.Tensor, h_hat: torch.Tensor, weights: torch.Tensor,
             noise_variance: float, sent: Semantic, seed: int) -> dict[str, torch.Tensor]:
    """Retrieval measures of every drop, mean over its captions: each ``[drop, 1]``.

    Captions, pilots' errors and noise are the same for all methods and link SNRs but for their scale.

    :param true: ``[drop, time, subcarrier, user, ue_ant, bs_ant]``, one user.
    :param h_hat: as the transmitter takes it for, likewise.
    :param weights: ``[drop, time, subcarrier, bs_ant, stream]``.
    :param noise_variance: per complex entry.
    :param seed: of the chunk.
    """
    split = codec.data.test
    num_drops, num_streams = len(true), weights.shape[-1]
    draw = generator(stream_seed(seed, "captions"))
    captions = torch.randint(len(split.captions), (num_drops * sent.captions_per_drop,), generator=draw)
    channel, taken_for, sent_by = (part.flatten(1, 2) for part in (true[..., 0, :, :], h_hat[..., 0, :, :], weights))
    elements = caption_elements(channel.shape[1], sent.captions_per_drop, sent.channel_uses // num_streams)
    link = stream_link(channel, taken_for, sent_by, torch.full((num_drops,), noise_variance, device=true.device),
                       elements.expand(num_drops, -1, -1).to(true.device), sent.num_pilots,
                       generator(stream_seed(seed, "semantic link")))
    scores = codec.over(codec.queries("test", captions), link) @ codec.test_gallery.mT
    measures = retrieval_measures(scores.float(), relevance(split, captions).to(scores.device))
    return {name: values.unflatten(0, (num_drops, -1)).mean(1, keepdim=True) for name, values in measures.items()}


@torch.inference_mode()
def answers(block: UniversalBlock, observed: Csi, true: Csi, places: Places) -> dict[str, torch.Tensor]:
    """A block's answers to all its tasks, by task; see `UniversalBlock.answer`.

    :param observed: the base station's CSI; ceilings see the true channel instead.
    :param true: downlink.
    """
    views = views_of(true if block.knows_truth else observed, places)
    return {task: block.answer(task, views[given]) for task, given in block.tasks().items()}


def task_measures(found: dict[str, torch.Tensor], true: Csi, places: Places) -> dict[str, torch.Tensor]:
    """Measures that need no link, each ``[batch, user]``; those of tasks that are not answered are absent."""
    truth, shape = truth_of(true, places), places.gain_db.shape
    measures: dict[str, torch.Tensor] = {}
    if "position" in found:
        measures["position_error_m"] = (found["position"] - truth.position_m).norm(dim=1)
    if "los" in found:
        measures["los_correct"] = ((found["los"] > 0.5) == truth.line_of_sight).float()
    if "precoding" in found:
        measures["precoding_sgcs"] = similarity(found["precoding"], truth.precoder)
        measures["sgcs"] = sgcs_per_drop(_as_channel(found["precoding"], true), true.h).flatten()
    if "beam" in found:
        order = found["beam"].topk(min(3, found["beam"].shape[1]), dim=1).indices
        measures["beam_top1"] = (order[:, 0] == truth.beam).float()
        measures["beam_top3"] = (order == truth.beam[:, None]).any(1).float()
    if "path_loss" in found:
        measures["path_loss_squared_db"] = (found["path_loss"] - truth.path_loss_db).square()
        measures["path_loss_told_db"], measures["path_loss_db"] = found["path_loss"], truth.path_loss_db
    return {name: values.unflatten(0, shape) for name, values in measures.items()}


def task_link_measures(found: dict[str, torch.Tensor], true: Csi, places: Places, noise_variance: float
                       ) -> dict[str, torch.Tensor]:
    """What precoder and beam are worth at a link SNR, each ``[batch, user]``: rates of one user, its streams with equal
    power."""
    measures: dict[str, torch.Tensor] = {}
    if "precoding" in found:
        measures |= _rates(found["precoding"], true, noise_variance)
    if "beam" in found:
        beams = dft_codebook(true.panel).to(true.h).mT
        best, told = (_rates(beams[which][..., None], true, noise_variance)["rate_bps_hz"]
                      for which in (truth_of(true, places).beam, found["beam"].argmax(1)))
        measures["beam_rate_loss_bps_hz"] = best - told
    return measures


def _rates(vectors: torch.Tensor, true: Csi, noise_variance: float) -> dict[str, torch.Tensor]:
    """:param vectors: ``[sample, bs_ant, stream]``, one user a drop."""
    share = vectors / vectors.shape[-1] ** 0.5
    weights = share[:, None, None].expand(-1, true.h.shape[-2], true.h.shape[-1], -1, -1)
    return link_measures(weights, by_resource(true.h), noise_variance)


def _as_channel(vectors: torch.Tensor, true: Csi) -> torch.Tensor:
    """The channel whose dominant right singular vectors these are, of the first stream each."""
    rows = vectors[..., 0].conj().unflatten(0, true.h.shape[:2])[:, :, None, :, None, None]
    return rows.expand(*true.h.shape[:2], 1, -1, *true.h.shape[-2:])
