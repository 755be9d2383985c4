"""Separate source and channel coding: text or a quantised embedding, as bits that arrive or do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pydantic
import torch

from linksim.blocks.semantic.base import Captions, Queries, SemanticShape, Transmission
from linksim.blocks.semantic.digital.embedding_codes import EmbeddingCode
from linksim.blocks.semantic.digital.reed_solomon_link import ReedSolomonLink
from linksim.blocks.semantic.digital.text_codes import HuffmanText, fold
from linksim.blocks.semantic.digital.word_model_text import WordModelText
from linksim.blocks.semantic.learned import EncoderSizes
from linksim.blocks.semantic.no_channel import NoChannel
from linksim.blocks.semantic.rules import blocks_of_bits, reed_solomon
from linksim.core.registry import register
from linksim.core.types import Decibel, PositiveFraction, PositiveInt
from linksim.nr.short_block_link import ShortBlockLink
from linksim.nr.short_block_plan import ShortBlockPlanner
from linksim.retrieval.data import RetrievalSet
from linksim.retrieval.sentences import Sentences, encode_now

_KEPT = 4096
"""Decoded captions that are remembered: the same one arrives at many link SNRs."""


@dataclass
class ReceivedCaptions:
    """Text to what the sentence encoder makes of it.

    :param known: captions that may be sent; one that arrives whole is known already, as case does not matter to the
        sentence encoder.
    """

    known: Captions
    _remembered: dict[str, Sentences] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._number = {fold(text): number for number, text in enumerate(self.known.texts)}

    def queries(self, texts: Sequence[str], device: torch.device | str = "cpu") -> Queries:
        """:param texts: decoded, none of them empty."""
        if len(self._remembered) > _KEPT:
            self._remembered.clear()
        strange = [text for text in dict.fromkeys(texts) if text not in self._number and text not in self._remembered]
        if strange:
            encoded = encode_now(strange)
            self._remembered |= {text: encoded.of(number) for number, text in enumerate(strange)}
        parts = [self.known.sentences.of(self._number[text]) if text in self._number else self._remembered[text]
                 for text in texts]
        return Queries.of(tuple(texts), Sentences.joined(parts), device)


_EMBEDDED_AT_ONCE = 256


class SentBlocks(pydantic.BaseModel, frozen=True):
    """Link adaptation of blocks of bits.

    :param target_error_rate: of blocks, that link adaptation aims at.
    :param margin_db: taken off the SINR that the transmitter expects.
    """

    target_error_rate: PositiveFraction = 0.1
    margin_db: Decibel = 0.0

    @property
    def link(self) -> ShortBlockLink:
        return ShortBlockLink(ShortBlockPlanner(self.target_error_rate, self.margin_db))


class SeparateCodec(NoChannel):
    """Networks of `no_channel`; what is sent is bits. A receiver that has none ranks by the mean training caption."""

    network_name = "no_channel"

    def embed_text(self, texts: list[str]) -> torch.Tensor:
        """Embeddings of decoded captions ``[caption, embedding]``; of an empty one, the mean training caption's."""
        if not hasattr(self, "_received"):
            self.queries("test", torch.zeros(1, dtype=torch.int64))
            self._received = ReceivedCaptions(self._captions["test"])
        embedded = self.prior.repeat(len(texts), 1)
        said = [number for number, text in enumerate(texts) if text]
        if said:
            embedded[said] = self.embed(self._received.queries([texts[number] for number in said], self.device))
        return embedded

    @property
    def prior(self) -> torch.Tensor:
        """The mean embedding of training captions, of unit length, ``[embedding]``."""
        if not hasattr(self, "_prior"):
            self._prior = torch.nn.functional.normalize(self.training_captions().mean(0), dim=0)
        return self._prior

    @torch.no_grad()
    def training_captions(self) -> torch.Tensor:
        """Embeddings of all training captions, ``[caption, embedding]``."""
        numbers = torch.arange(len(self.data.train.captions))
        return torch.cat([self.embed(self.queries("train", part)) for part in numbers.split(_EMBEDDED_AT_ONCE)])


@register("semantic", "separate_text", trains=True, requires=blocks_of_bits)
class SeparateText(SeparateCodec):
    """Entropy-coded text in one NR LDPC block per caption, with modulations by stream: the fair digital scheme.

    Words are coded by a context model of the training captions; what does not fit the block is dropped from the end.
    The block's size and modulations are chosen from the transmitter's CSI for `target_error_rate`. The receiver reads
    the text and embeds it as if there had been no channel.
    """

    transport_options = frozenset({"target_error_rate", "margin_db"})

    def __init__(self, sizes: EncoderSizes = EncoderSizes(num_layers=4),
                 blocks: SentBlocks = SentBlocks()) -> None:
        super().__init__(sizes)
        self.link = blocks.link

    def prepare(self, shape: SemanticShape, data: RetrievalSet) -> None:
        super().prepare(shape, data)
        self.code = WordModelText.fit(data.train.captions)

    def encode(self, queries: Queries, expected_sinr: torch.Tensor) -> Transmission:
        wanted = torch.tensor([len(self.code.encode(text)) for text in queries.texts])
        plan = self.link.plan(expected_sinr, wanted)
        payloads = [self.code.encode(text, size) for text, size in zip(queries.texts, plan.payload_bits.tolist())]
        return Transmission(self.link.transmit(payloads, plan), plan, plan.amplitude * (plan.orders > 0))

    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: Any) -> torch.Tensor:
        delivered = self.link.receive(received, noise_variance, plan)
        return self.embed_text([self.code.decode(bits) if passed else ""
                                for bits, passed in zip(delivered.payloads, delivered.passed.tolist())])


@register("semantic", "separate_embedding", trains=True, requires=blocks_of_bits)
class SeparateEmbedding(SeparateCodec):
    """A quantised embedding in one NR LDPC block per caption, with modulations by stream.

    The transmitter embeds the caption; principal components share the bits of the block, whose size and modulations
    are chosen from the transmitter's CSI for `target_error_rate`.

    :param allocation: of bits: "water_filling" where they help most; "equal": `value_bits` to the first components.
    :param value_bits: see `allocation`.
    """

    transport_options = frozenset({"allocation", "value_bits", "target_error_rate", "margin_db"})

    def __init__(self, sizes: EncoderSizes = EncoderSizes(num_layers=4),
                 allocation: Literal["water_filling", "equal"] = "water_filling", value_bits: PositiveInt = 6,
                 blocks: SentBlocks = SentBlocks()) -> None:
        super().__init__(sizes)
        self.allocation, self.value_bits = allocation, value_bits
        self.link = blocks.link

    @property
    def code(self) -> EmbeddingCode:
        """Fitted to training captions, when first used: their embeddings are learned by then."""
        if not hasattr(self, "_code"):
            self._code = EmbeddingCode.fit(self.training_captions(), self.allocation, self.value_bits)
        return self._code

    def encode(self, queries: Queries, expected_sinr: torch.Tensor) -> Transmission:
        wanted = torch.full((len(queries),), self.code.max_bits)
        plan = self.link.plan(expected_sinr, wanted)
        payloads = self.code.encode(self.embed(queries), plan.payload_bits.tolist())
        return Transmission(self.link.transmit(payloads, plan), plan, plan.amplitude * (plan.orders > 0))

    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: Any) -> torch.Tensor:
        delivered = self.link.receive(received, noise_variance, plan)
        decoded = self.code.decode([bits if passed else "" for bits, passed in zip(
            delivered.payloads, delivered.passed.tolist())]).to(self.device)
        return torch.where(delivered.passed.to(self.device)[:, None], decoded, self.prior)


@register("semantic", "sscc", trains=True, requires=reed_solomon)
class Sscc(SeparateCodec):
    """Huffman-coded text, Reed-Solomon code, one QAM: the conventional scheme of SC-LMKB's figures.

    Order and rate are fixed, whatever the channel: errors beyond what the code corrects reach the text. The paper gives
    neither.

    :param order: bits of a QAM symbol: 1, 2, 4, 6 or 8.
    :param rate: of the Reed-Solomon code.
    :param symbol_bits: of its symbols: 8 for GF(256), 4 for GF(16).
    """

    transport_options = frozenset({"order", "rate", "symbol_bits"})

    def __init__(self, sizes: EncoderSizes = EncoderSizes(num_layers=4), order: PositiveInt = 4,
                 rate: PositiveFraction = 0.5, symbol_bits: Literal[4, 8] = 4) -> None:
        super().__init__(sizes)
        self.order, self.rate, self.symbol_bits = order, rate, symbol_bits

    def prepare(self, shape: SemanticShape, data: RetrievalSet) -> None:
        super().prepare(shape, data)
        self.code = HuffmanText.fit(data.train.captions)
        self.link = ReedSolomonLink(shape.channel_uses, self.order, self.rate, self.symbol_bits)

    def encode(self, queries: Queries, expected_sinr: torch.Tensor) -> Transmission:
        payloads = [self.code.encode(text, self.link.payload_bits) for text in queries.texts]
        return Transmission(self.link.transmit(payloads))

    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: Any) -> torch.Tensor:
        return self.embed_text([self.code.decode(bits) for bits in self.link.receive(received)[0]])
