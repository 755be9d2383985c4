"""Tasks about the terminals of a chunk of drops, answered and scored; and what the answers are worth on the link."""

from __future__ import annotations

import torch

from linksim.blocks.universal.base import UniversalBlock, truth_of, views_of
from linksim.blocks.universal.tasks import similarity
from linksim.core.csi import Csi, by_resource
from linksim.core.places import Places
from linksim.link.measures import link_measures
from linksim.metrics.similarity import sgcs_per_drop
from linksim.mimo.angle_delay import dft_codebook


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
