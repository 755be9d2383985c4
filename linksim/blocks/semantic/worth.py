"""What a way to send captions is expected to find: precision of validation captions, measured once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from linksim.blocks.semantic.base import Queries, relevance
from linksim.blocks.semantic.separate import SeparateEmbedding, SeparateText
from linksim.metrics.retrieval import retrieval_measures
from linksim.retrieval.data import RetrievalSet

SHARES = (0.4, 0.6, 0.8, 1.0)
"""Shares of a caption's bits, at which text is measured."""

BITS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""At which quantised embeddings are measured."""

_NUM_CAPTIONS = 400
_FEW_CAPTIONS = 64
_CLOSE = 0.1
"""Where two ways are nearer than this by few captions, all are asked."""


@dataclass(frozen=True)
class Yardstick:
    """What worth is measured on: validation captions, in a gallery as large as the one that will be searched.

    Precision falls with the size of the gallery, and falls more for vague embeddings than for exact ones. Validation
    items are fewer, so training items, which no validation caption asks for, stand beside them.

    :param captions: numbers of the validation captions, the same ones always.
    :param features: of the gallery, validation items first.
    :param relevance: which items the captions ask for, ``[caption, item]``, bool.
    """

    captions: torch.Tensor
    texts: tuple[str, ...]
    features: torch.Tensor
    relevance: torch.Tensor

    @classmethod
    def of(cls, data: RetrievalSet) -> Yardstick:
        """The yardstick of a data set."""
        split, count = data.validation, len(data.validation.captions)
        captions = torch.randperm(count, generator=torch.Generator().manual_seed(count))[:_NUM_CAPTIONS]
        missing = max(0, len(data.test.features) - len(split.features))
        others = torch.randperm(len(data.train.features), generator=torch.Generator().manual_seed(missing))[:missing]
        asked = torch.nn.functional.pad(relevance(split, captions), (0, len(others)))
        return cls(captions, tuple(split.captions[number] for number in captions.tolist()),
                   torch.cat([split.features, data.train.features[others]]), asked)

    def beginning(self, count: int) -> Yardstick:
        """The same with the first captions alone."""
        return replace(self, captions=self.captions[:count], texts=self.texts[:count], relevance=self.relevance[:count])

    def precision(self, embedded: torch.Tensor, gallery: torch.Tensor) -> float:
        """Mean average precision.

        :param embedded: of the captions, ``[caption, embedding]``.
        :param gallery: embeddings of `features`, ``[item, embedding]``.
        """
        found = retrieval_measures((embedded @ gallery.mT).float(), self.relevance.to(gallery.device))
        return float(found["map"].mean())


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


@dataclass(frozen=True)
class WorthOfJoint:
    """Mean average precision of joint coding over the very channel that the transmitter expects.

    How much of it goes across is not enough to tell: four strong symbols of sixteen carry a caption that sixteen weak
    ones of the same mutual information do not.

    :param sent: embeddings of the first of the yardstick's captions, as many as SINRs are given, over symbols with
        these SINRs, ``[caption, use]``.
    :param gallery: embeddings of the yardstick's gallery.
    """

    sent: Callable[[torch.Tensor], torch.Tensor]
    yardstick: Yardstick
    gallery: torch.Tensor

    def over(self, expected_sinr: torch.Tensor, rival: torch.Tensor) -> torch.Tensor:
        """For every caption, ``[caption]``; exact where it decides.

        :param expected_sinr: linear, ``[caption, use]``; captions of a drop have the same.
        :param rival: worth of the best other way, ``[caption]``.
        """
        channels, which = expected_sinr.unique(dim=0, return_inverse=True)
        found = []
        for number, channel in enumerate(channels):
            worth, rivals = self._precision(channel, _FEW_CAPTIONS), rival[which == number]
            if ((rivals - worth).abs() < _CLOSE).any():
                worth = self._precision(channel, len(self.yardstick.captions))
            found.append(worth)
        return torch.tensor(found, device=expected_sinr.device)[which]

    def _precision(self, channel: torch.Tensor, count: int) -> float:
        yardstick = self.yardstick.beginning(count)
        return yardstick.precision(self.sent(channel.expand(len(yardstick.captions), -1)), self.gallery)


def worth_of_text(codec: SeparateText, yardstick: Yardstick, gallery: torch.Tensor) -> Worth:
    """Worth of text against the share of its bits that is sent."""
    lengths = [len(codec.code.encode(text)) for text in yardstick.texts]
    found = [0.0]
    for share in SHARES:
        parts = [codec.code.decode(codec.code.encode(text, int(share * length)))
                 for text, length in zip(yardstick.texts, lengths)]
        found.append(yardstick.precision(codec.embed_text(parts), gallery))
    return Worth((0.0, *SHARES), tuple(found))


def worth_of_embedding(codec: SeparateEmbedding, queries: Queries, yardstick: Yardstick, gallery: torch.Tensor
                       ) -> Worth:
    """Worth of quantised embeddings against their bits."""
    embedded, found = codec.embed(queries), [0.0]
    for bits in BITS:
        told = codec.code.decode(codec.code.encode(embedded, [bits] * len(embedded))).to(gallery.device)
        found.append(yardstick.precision(told, gallery))
    return Worth((0.0, *BITS), tuple(found))
