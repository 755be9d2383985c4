"""A joint codec that sends bits where bits say more: linksim's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch

from linksim.blocks.semantic.base import Queries, Transmission, relevance
from linksim.blocks.semantic.sc_lmkb import ScLmkb
from linksim.blocks.semantic.separate import SeparateText
from linksim.metrics.retrieval import retrieval_measures
from linksim.registry import register
from linksim.types import Fraction, PositiveFloat, PositiveInt

_SHARES = (0.4, 0.6, 0.8, 1.0)
"""Of a caption's bits, at which the worth of text is measured; none of it is worth anything at 0."""

_LEVELS_DB = (-20.0, -14.0, -8.0, -2.0, 4.0, 10.0, 20.0)
"""SINRs of all symbols, at which the worth of joint coding is measured."""

_NUM_CAPTIONS = 128
"""Of the validation split, that worth is measured with."""


@dataclass(frozen=True)
class _Mixed:
    """Which captions of a batch are sent as text, ``[caption]`` bool, and what is planned for them."""

    as_text: torch.Tensor
    plan: Any


@register("semantic", "adaptive", trains=True)
class AdaptiveSemantic(ScLmkb):
    """SC-LMKB's networks, and entropy-coded text in an NR LDPC block instead where that is expected to find more.

    Joint coding degrades gracefully, but saturates; coded text is worth what it says where it arrives. Both ends choose
    for each caption by what the transmitter's CSI promises: the precision that validation captions have with joint
    coding at this SINR, or with as much of their text as the block holds. Text is sent and heard by ``separate_text``
    with networks of its own; an item is then as near as in the one embedding or in the other. The networks are those of
    ``sc_lmkb`` and of ``no_channel`` with the same options: there is nothing more to train.

    :param width: of features.
    :param embedding: entries of what is compared with the gallery.
    :param num_heads: of attention.
    :param num_layers: transformer layers at either end.
    :param symbols_per_slot: complex symbols that carry one feature vector.
    :param snr_low_db: link SNR in training, drawn evenly up to `snr_high_db`, dB.
    :param snr_high_db: see `snr_low_db`.
    :param threshold: cosine similarity that a generated caption must have; -1 takes all.
    :param tries: generated captions that are tried, of those stored.
    :param fusion: see ``sc_lmkb``.
    :param fusion_temperature: of the softmax; small: the more important feature decides.
    :param hallucinated: see ``sc_lmkb``.
    :param target_error_rate: of text's blocks, that link adaptation aims at.
    :param margin_db: taken off the SINR that the transmitter expects.
    """

    network_name = "sc_lmkb"
    transport_options = frozenset({"target_error_rate", "margin_db"})
    version = 1

    def __init__(self, width: int = 128, embedding: int = 256, num_heads: int = 8, num_layers: int = 2,
                 symbols_per_slot: int = 8, snr_low_db: float = -20.0, snr_high_db: float = 20.0,
                 threshold: float = 0.7, tries: PositiveInt = 3,
                 fusion: Literal["cross", "mean", "none"] = "cross", fusion_temperature: PositiveFloat = 0.2,
                 hallucinated: Fraction = 0.0, target_error_rate: float = 0.1, margin_db: float = 0.0) -> None:
        super().__init__(width, embedding, num_heads, num_layers, symbols_per_slot, snr_low_db, snr_high_db, threshold,
                         tries, fusion, fusion_temperature, hallucinated)
        self.target_error_rate, self.margin_db = target_error_rate, margin_db
        self._text: list[SeparateText] = []  # a list hides it from the parameters that are trained and saved

    def companion(self) -> tuple[str, dict[str, Any]]:
        """The codec of the text, as its name and options."""
        return "separate_text", {"width": self.width, "embedding": self.embedding, "num_heads": self.num_heads,
                                 "num_layers": 2 * self.num_layers, "target_error_rate": self.target_error_rate,
                                 "margin_db": self.margin_db}

    def send_text_by(self, codec: SeparateText) -> None:
        """Take over the trained codec of the text; without one all captions are coded jointly."""
        self._text = [codec.eval().requires_grad_(False)]

    def to(self, *arguments: Any, **options: Any) -> AdaptiveSemantic:
        for codec in self._text:
            codec.to(*arguments, **options)
        return super().to(*arguments, **options)

    def encode(self, queries: Queries, expected_sinr: torch.Tensor) -> Transmission:
        joint = super().encode(queries, expected_sinr)
        if self.training or not self._text:  # what is learned is the joint code
            return joint
        text = self._text[0]
        lengths = torch.tensor([len(text.code.encode(one)) for one in queries.texts], device=expected_sinr.device)
        plan = text.link.plan(expected_sinr, lengths)
        share = (plan.payload_bits / lengths.clamp_min(1)).clamp(max=1) * plan.safe
        worth = (1 - self.target_error_rate) * _interpolated(share, (0.0, *_SHARES), (0.0, *self._worth_of_text))
        as_text = worth > _interpolated(_level_db(expected_sinr), _LEVELS_DB, self._worth_of_joint)
        sent = text.encode(queries, expected_sinr)
        return Transmission(torch.where(as_text[:, None], sent.symbols, joint.symbols), _Mixed(as_text, sent.plan))

    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: Any = None) -> torch.Tensor:
        joint = super().decode(received, noise_variance)
        if not isinstance(plan, _Mixed):
            return self._beside(joint, True) if self._text else joint
        told = self._beside(joint, True)
        rows = plan.as_text.nonzero().flatten()
        if len(rows):
            text = self._text[0].decode(received[rows], noise_variance[rows], plan.plan.at(rows))
            told[rows] = self._beside(text, False)
        return told

    def gallery(self, features: torch.Tensor) -> torch.Tensor:
        joint = super().gallery(features)
        return torch.cat([joint, self._text[0].gallery(features)], 1) if self._text else joint

    def _beside(self, embedded: torch.Tensor, is_joint: bool) -> torch.Tensor:
        """Embeddings beside nothing of the other network's."""
        nothing = torch.zeros_like(embedded)
        return torch.cat([embedded, nothing] if is_joint else [nothing, embedded], 1)

    @cached_property
    def _measured_with(self) -> torch.Tensor:
        count = len(self.data.validation.captions)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
        return order[:_NUM_CAPTIONS]

    @cached_property
    def _worth_of_joint(self) -> tuple[float, ...]:
        """Mean average precision of validation captions at each of `_LEVELS_DB`."""
        queries = self.queries("validation", self._measured_with)
        draw = torch.Generator().manual_seed(len(queries))
        found = []
        for level_db in _LEVELS_DB:
            sinr = torch.full((len(queries), self.shape.channel_uses), 10 ** (level_db / 10), device=self.device)
            symbols = self.to_symbols(self.features(queries), sinr)
            noise = torch.randn(symbols.shape, dtype=torch.complex64, generator=draw).to(symbols)
            heard = super().decode(symbols + noise / sinr.sqrt(), 1 / sinr)
            found.append(self._precision(heard, ScLmkb.gallery(self, self._validation_features)))
        return tuple(found)

    @cached_property
    def _worth_of_text(self) -> tuple[float, ...]:
        """The same with each of `_SHARES` of their text."""
        text, split = self._text[0], self.data.validation
        bits = [text.code.encode(split.captions[number]) for number in self._measured_with.tolist()]
        captions = [split.captions[number] for number in self._measured_with.tolist()]
        found = []
        for share in _SHARES:
            parts = [text.code.decode(text.code.encode(one, int(share * len(code))))
                     for one, code in zip(captions, bits)]
            found.append(self._precision(text.embed_text(parts), text.gallery(self._validation_features)))
        return tuple(found)

    @property
    def _validation_features(self) -> torch.Tensor:
        return self.data.validation.features.to(self.device)

    def _precision(self, embedded: torch.Tensor, gallery: torch.Tensor) -> float:
        asked = relevance(self.data.validation, self._measured_with).to(self.device)
        return float(retrieval_measures((embedded @ gallery.mT).float(), asked)["map"].mean())


def _level_db(sinr: torch.Tensor) -> torch.Tensor:
    """The SINR at which as much would go across if all symbols had it, ``[caption]``, dB."""
    mean = torch.log2(1 + sinr).mean(1)
    return 10 * (2**mean - 1).clamp_min(1e-6).log10()


def _interpolated(at: torch.Tensor, places: tuple[float, ...], values: tuple[float, ...]) -> torch.Tensor:
    """Between the places linearly, beyond them as at the last one."""
    x, y = (torch.tensor(part, dtype=at.dtype, device=at.device) for part in (places, values))
    right = torch.searchsorted(x, at.clamp(x[0], x[-1]).contiguous()).clamp(1, len(x) - 1)
    share = ((at - x[right - 1]) / (x[right] - x[right - 1])).clamp(0, 1)
    return y[right - 1] + share * (y[right] - y[right - 1])
