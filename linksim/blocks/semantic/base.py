"""What every semantic codec is: captions to channel symbols, received symbols to a place among the gallery's items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from linksim.mimo.stream_link import StreamLink
from linksim.retrieval.data import RetrievalSet, Split
from linksim.retrieval.sentences import Sentences, encode_sentences


@dataclass(frozen=True)
class SemanticShape:
    """Sizes that a codec's parameters depend on.

    :param channel_uses: complex symbols of a caption, over all streams.
    :param num_streams: on which they are sent, symbol by symbol in turn.
    """

    channel_uses: int
    num_streams: int


@dataclass(frozen=True)
class Queries:
    """Captions, as text and as the frozen sentence encoder sees them.

    :param texts: one for each caption.
    :param tokens: token states, ``[caption, token, width]``; ``mask`` says which there are, ``[caption, token]``.
    :param pooled: sentence vectors of unit length, ``[caption, width]``.
    """

    texts: tuple[str, ...]
    tokens: torch.Tensor
    mask: torch.Tensor
    pooled: torch.Tensor

    def __len__(self) -> int:
        return len(self.texts)

    def at(self, rows: torch.Tensor) -> Queries:
        """Some of them, by number."""
        return Queries(tuple(self.texts[row] for row in rows.tolist()), self.tokens[rows], self.mask[rows],
                       self.pooled[rows])

    @classmethod
    def of(cls, texts: tuple[str, ...], sentences: Sentences, device: torch.device | str,
           index: torch.Tensor | None = None) -> Queries:
        """Encoded captions, all or those of ``index``; tokens as many as the longest has."""
        tokens, mask = sentences.tokens(index)
        length = int(mask.sum(1).max())
        pooled = sentences.pooled if index is None else sentences.pooled[index]
        return cls(texts, tokens[:, :length].to(device), mask[:, :length].to(device), pooled.to(device))


class Captions:
    """Captions to take queries from by number; encoded once, kept in the cache.

    :raises LinksimError: the sentence encoder is not installed.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)
        self.sentences = encode_sentences(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def queries(self, index: torch.Tensor, device: torch.device | str = "cpu") -> Queries:
        """Some of them, ``[caption]`` int64 on the CPU."""
        return Queries.of(tuple(self.texts[number] for number in index.tolist()), self.sentences, device, index)


@dataclass(frozen=True)
class Transmission:
    """What is sent of some captions.

    :param symbols: complex ``[caption, use]``, unit mean power over each caption.
    :param plan: what both ends know beside the symbols, such as a modulation and coding scheme chosen from the
        transmitter's CSI: control signalling, taken for ideal as in 5G NR's link simulations.
    :param amplitude: root mean square of each symbol, ``[caption, use]``, 0 where nothing is sent; None for one.
    """

    symbols: torch.Tensor
    plan: Any = None
    amplitude: torch.Tensor | None = None


class SemanticCodec(torch.nn.Module, ABC):
    """Sends captions over the streams of a MIMO link, and embeds what arrives beside the gallery's items.

    Items are ranked by the cosine similarity of embeddings. `prepare` is called once, before all else. Captions are
    treated one by one: none depends on its neighbours in the batch.
    """

    block_name: str = ""
    version: int = 1
    network_name: str = ""
    """Whose networks these are, if not its own: codecs that share them share their training."""
    transport_options: frozenset[str] = frozenset()
    """Options that say how it is sent, not what is trained."""
    channel_free: bool = False
    """Its networks know nothing of channel uses."""

    generates: bool = False
    """It learns from generated captions, too."""

    def prepare(self, shape: SemanticShape, data: RetrievalSet) -> None:
        """Make parameters of the right size, untrained.

        :param data: what is sent and retrieved; it is not part of the codec's state.
        :raises ScenarioError: too few channel uses.
        """
        self.shape, self.data = shape, data
        self._captions: dict[str, Captions] = {}

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def queries(self, split: str, captions: torch.Tensor) -> Queries:
        """Captions of a split, by its name and their numbers, on this codec's device."""
        if split not in self._captions:
            self._captions[split] = Captions(getattr(self.data, split).captions)
        return self._captions[split].queries(captions, self.device)

    def over(self, queries: Queries, link: StreamLink) -> torch.Tensor:
        """Embeddings of captions as the receiver of a link has them, ``[caption, embedding]``."""
        sent = self.encode(queries, link.expected_sinr)
        if sent.amplitude is None:
            return self.decode(link.send(sent.symbols), link.noise_variance, sent.plan)
        return self.decode(*link.air.send(sent.symbols, sent.amplitude), sent.plan)

    @cached_property
    def test_gallery(self) -> torch.Tensor:
        """Embeddings of the test split's items; for codecs that learn no more."""
        return self.gallery(self.data.test.features.to(self.device))

    @abstractmethod
    def encode(self, queries: Queries, expected_sinr: torch.Tensor) -> Transmission:
        """Captions to symbols.

        :param expected_sinr: of every symbol as the transmitter's CSI promises, linear, ``[caption, use]``.
        """

    @abstractmethod
    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: Any) -> torch.Tensor:
        """Received symbols to embeddings of unit length ``[caption, embedding]``.

        :param received: complex ``[caption, use]``: sent symbols of unit mean power, and noise.
        :param noise_variance: of it, as the receiver believes, ``[caption, use]``.
        :param plan: of the transmission.
        """

    @abstractmethod
    def gallery(self, features: torch.Tensor) -> torch.Tensor:
        """Items ``[item, frame, feature]`` to embeddings of unit length ``[item, embedding]``."""


def relevance(split: Split, captions: torch.Tensor) -> torch.Tensor:
    """Which items are what captions (by number) ask for, ``[caption, item]`` bool."""
    return split.caption_identities[captions][:, None] == split.item_identities
