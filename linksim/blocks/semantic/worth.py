"""What a way to send captions is expected to find: precision of validation captions, measured once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from linksim.blocks.semantic.base import Queries, relevance
from linksim.blocks.semantic.separate import SeparateEmbedding, SeparateText
from linksim.metrics.retrieval import retrieval_measures
from linksim.retrieval.data import Split

LEVELS_DB = (-20.0, -14.0, -8.0, -2.0, 4.0, 10.0, 20.0)
"""SINRs of all symbols, at which joint coding is measured."""

SHARES = (0.4, 0.6, 0.8, 1.0)
"""Of a caption's bits, at which text is measured."""

BITS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""At which quantised embeddings are measured."""

_NUM_CAPTIONS = 128


@dataclass(frozen=True)
class Worth:
    """Mean average precision against what there is to send with.

    :param places: rising; ``values``, at each of them.
    """

    places: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, here: torch.Tensor) -> torch.Tensor:
        """Between the places linearly, beyond them as at the last one; of the shape of ``here``."""
        x, y = (torch.tensor(part, dtype=here.dtype, device=here.device) for part in (self.places, self.values))
        right = torch.searchsorted(x, here.clamp(x[0], x[-1]).contiguous()).clamp(1, len(x) - 1)
        share = ((here - x[right - 1]) / (x[right] - x[right - 1])).clamp(0, 1)
        return y[right - 1] + share * (y[right] - y[right - 1])


def measured_with(split: Split) -> torch.Tensor:
    """Numbers of the captions that worth is measured with, the same ones always."""
    count = len(split.captions)
    return torch.randperm(count, generator=torch.Generator().manual_seed(count))[:_NUM_CAPTIONS]


def worth_of_joint(sent: Callable[[Queries, torch.Tensor], torch.Tensor], queries: Queries, channel_uses: int,
                   split: Split, gallery: torch.Tensor) -> Worth:
    """Of joint coding against the SINR of its symbols in dB.

    :param sent: embeddings of captions over symbols with these SINRs, ``[caption, use]``.
    """
    found = []
    for level_db in LEVELS_DB:
        sinr = torch.full((len(queries), channel_uses), 10 ** (level_db / 10), device=gallery.device)
        found.append(_precision(sent(queries, sinr), split, gallery))
    return Worth(LEVELS_DB, tuple(found))


def worth_of_text(codec: SeparateText, split: Split, gallery: torch.Tensor) -> Worth:
    """Of text against the share of its bits that is sent."""
    captions = [split.captions[number] for number in measured_with(split).tolist()]
    lengths = [len(codec.code.encode(caption)) for caption in captions]
    found = [0.0]
    for share in SHARES:
        parts = [codec.code.decode(codec.code.encode(caption, int(share * length)))
                 for caption, length in zip(captions, lengths)]
        found.append(_precision(codec.embed_text(parts), split, gallery))
    return Worth((0.0, *SHARES), tuple(found))


def worth_of_embedding(codec: SeparateEmbedding, queries: Queries, split: Split, gallery: torch.Tensor) -> Worth:
    """Of quantised embeddings against their bits."""
    embedded, found = codec.embed(queries), [0.0]
    for bits in BITS:
        told = codec.code.decode(codec.code.encode(embedded, [bits] * len(embedded))).to(gallery.device)
        found.append(_precision(told, split, gallery))
    return Worth((0.0, *BITS), tuple(found))


def _precision(embedded: torch.Tensor, split: Split, gallery: torch.Tensor) -> float:
    asked = relevance(split, measured_with(split)).to(gallery.device)
    return float(retrieval_measures((embedded @ gallery.mT).float(), asked)["map"].mean())
