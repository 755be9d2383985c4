"""How well a gallery is ranked: average precision, and whether the first K hold a relevant item."""

from __future__ import annotations

import torch

RANKS = (1, 5, 10)
"""The K of Rank@K that are reported."""


def retrieval_measures(scores: torch.Tensor, relevant: torch.Tensor) -> dict[str, torch.Tensor]:
    """Average precision and Rank@K of queries that rank a whole gallery.

    Average precision is the mean, over the relevant items, of the precision among the items down to each of them. Of
    items with equal scores those that are not relevant count as the better ones, so that a ranking that tells nothing
    earns nothing by its order.

    :param scores: ``[query, item]``, higher is nearer.
    :param relevant: ``[query, item]`` bool, at least one of every query.
    :returns: ``map`` and ``rank1``, ``rank5``, ``rank10``, each ``[query]`` from 0 to 1; a rank beyond the gallery is
        left out.
    :raises ValueError: a query without a relevant item.

    Source: L. Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015, Section 5.1 (mAP over ranked
    galleries with several pictures of an identity).
    """
    if not relevant.any(1).all():
        raise ValueError("a query has no relevant item in the gallery")
    # a stable sort of relevant items behind the others, then by score: ties are broken against the relevant
    pessimistic = relevant.to(torch.uint8).argsort(dim=1, stable=True)
    order = scores.gather(1, pessimistic).argsort(dim=1, descending=True, stable=True)
    hits = relevant.gather(1, pessimistic.gather(1, order))
    place = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = hits.cumsum(1) / place
    measures = {"map": (precision * hits).sum(1) / hits.sum(1)}
    for rank in RANKS:
        if rank <= hits.shape[1]:
            measures[f"rank{rank}"] = hits[:, :rank].any(1).to(precision.dtype)
    return measures
