"""A joint codec that sends bits where bits say more: linksim's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from linksim.blocks.semantic.base import Queries, Transmission, relevance
from linksim.blocks.semantic.learned import EncoderSizes, SentSymbols
from linksim.blocks.semantic.rules import blocks_of_bits
from linksim.blocks.semantic.sc_lmkb import GeneratedCaptions, ScLmkb
from linksim.blocks.semantic.separate import SentBlocks, SeparateCodec, SeparateEmbedding, SeparateText
from linksim.core.registry import register
from linksim.core.types import Fraction
from linksim.metrics.retrieval import retrieval_measures
from linksim.mimo.noise import complex_normal
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


_JOINT = -1
_LEAST_SINR = 1e-4


@dataclass(frozen=True)
class _Mixed:
    """How the captions of a batch are sent.

    :param way: number of the companion that sends each, `_JOINT` for none, ``[caption]``.
    :param plans: of each companion, for the captions that it sends.
    """

    way: torch.Tensor
    plans: tuple[Any, ...]


@register("semantic", "adaptive", trains=True, requires=blocks_of_bits)
class AdaptiveSemantic(ScLmkb):
    """SC-LMKB's networks, and text or a quantised embedding in an NR LDPC block where that is expected to find more.

    Joint coding degrades gracefully, but saturates; bits are worth what they say where they arrive. Both ends choose
    for each caption by what the transmitter's CSI promises: the precision that validation captions have with joint
    coding over this channel, with as much of their text, or with an embedding of as many bits, as the block holds.
    Bits are sent and heard by ``separate_text`` and ``separate_embedding`` with networks of their own; an item is then
    as near as in the one embedding or in the other. The networks are those of ``sc_lmkb`` and of ``no_channel`` with
    the same options: there is nothing more to train.

    :param reliability: share of blocks that are expected to arrive: more than `target_error_rate` asks for, as block
        sizes are rounded down.
    """

    network_name = "sc_lmkb"
    transport_options = frozenset({"target_error_rate", "margin_db", "reliability"})
    version = 1

    def __init__(self, sizes: EncoderSizes = EncoderSizes(), symbols: SentSymbols = SentSymbols(),
                 generated: GeneratedCaptions = GeneratedCaptions(), blocks: SentBlocks = SentBlocks(),
                 reliability: Fraction = 0.95) -> None:
        super().__init__(sizes, symbols, generated)
        self.target_error_rate, self.margin_db, self.reliability = (
            blocks.target_error_rate, blocks.margin_db, reliability)
        self._companions: list[SeparateCodec] = []  # a list hides them from what is trained and saved

    def companions(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """The codecs of what is sent as bits, as names and options."""
        options = {"width": self.width, "embedding": self.embedding, "num_heads": self.num_heads,
                   "num_layers": 2 * self.num_layers, "target_error_rate": self.target_error_rate,
                   "margin_db": self.margin_db}
        return ("separate_text", options), ("separate_embedding", options)

    def send_bits_by(self, codecs: list[SeparateCodec]) -> None:
        """Take over the trained codecs of `companions`; without them all captions are coded jointly."""
        self._companions = [codec.eval().requires_grad_(False) for codec in codecs]

    def to(self, *arguments: Any, **options: Any) -> AdaptiveSemantic:
        for codec in self._companions:
            codec.to(*arguments, **options)
        return super().to(*arguments, **options)

    def encode(self, queries: Queries, expected_sinr: torch.Tensor) -> Transmission:
        joint = super().encode(queries, expected_sinr)
        if self.training or not self._companions:  # what is learned is the joint code
            return joint
        bits = torch.stack(self._expected(queries, expected_sinr))
        most = bits.amax(0)
        way = torch.where(most > self._worth_of_joint.over(expected_sinr, most), bits.argmax(0), _JOINT)
        symbols, plans = joint.symbols.clone(), []
        amplitude = torch.ones_like(expected_sinr)
        for number, codec in enumerate(self._companions):
            rows = (way == number).nonzero().flatten()
            sent = codec.encode(queries.at(rows), expected_sinr[rows]) if len(rows) else None
            plans.append(None if sent is None else sent.plan)
            if sent is not None:
                symbols[rows], amplitude[rows] = sent.symbols, sent.amplitude
        return Transmission(symbols, _Mixed(way, tuple(plans)), amplitude)

    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: Any = None) -> torch.Tensor:
        joint = super().decode(received, noise_variance)
        if not self._companions:
            return joint
        told = torch.cat([joint, torch.zeros_like(joint)], 1)
        if isinstance(plan, _Mixed):
            for number, codec in enumerate(self._companions):
                rows = (plan.way == number).nonzero().flatten()
                if len(rows):
                    found = codec.decode(received[rows], noise_variance[rows], plan.plans[number])
                    told[rows] = torch.cat([torch.zeros_like(found), found], 1)
        return told

    def gallery(self, features: torch.Tensor) -> torch.Tensor:
        joint = super().gallery(features)
        # both companions have the same networks
        return torch.cat([joint, self._companions[0].gallery(features)], 1) if self._companions else joint

    def _expected(self, queries: Queries, expected_sinr: torch.Tensor) -> list[torch.Tensor]:
        """What each companion is expected to find, ``[caption]``; nothing where its block is not safe."""
        text, embedding = self._companions
        lengths = torch.tensor([len(text.code.encode(one)) for one in queries.texts], device=expected_sinr.device)
        plan = text.link.plan(expected_sinr, lengths)
        share = (plan.payload_bits / lengths.clamp_min(1)).clamp(max=1)
        found = [self._worth_of_text.at(share) * plan.safe]
        plan = embedding.link.plan(expected_sinr, torch.full_like(lengths, embedding.code.max_bits))
        found.append(self._worth_of_embedding.at(plan.payload_bits.float()) * plan.safe)
        return [self.reliability * part for part in found]

    @cached_property
    def _worth_of_joint(self) -> WorthOfJoint:
        features = self.features(self.queries("validation", self._yardstick.captions))

        def sent(sinr: torch.Tensor) -> torch.Tensor:
            symbols = self.to_symbols(features[:len(sinr)], sinr)
            draw = torch.Generator().manual_seed(len(sinr))
            noise = complex_normal(symbols.shape, draw).to(symbols)
            variance = 1 / sinr.clamp_min(_LEAST_SINR)
            return ScLmkb.decode(self, symbols + noise * variance.sqrt(), variance)

        return WorthOfJoint(sent, self._yardstick, ScLmkb.gallery(self, self._yardstick.features.to(self.device)))

    @cached_property
    def _worth_of_text(self) -> Worth:
        return worth_of_text(self._companions[0], self._yardstick, self._companions_gallery)

    @cached_property
    def _worth_of_embedding(self) -> Worth:
        codec = self._companions[1]
        return worth_of_embedding(codec, codec.queries("validation", self._yardstick.captions), self._yardstick,
                                  self._companions_gallery)

    @cached_property
    def _yardstick(self) -> Yardstick:
        return Yardstick.of(self.data)

    @property
    def _companions_gallery(self) -> torch.Tensor:
        return self._companions[0].gallery(self._yardstick.features.to(self.device))
