"""A joint codec that sends bits where bits are sure to arrive: linksim's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from linksim.blocks.semantic.base import Queries, SemanticShape, Transmission
from linksim.blocks.semantic.digital.coded_link import CodedLink
from linksim.blocks.semantic.digital.link_plan import LinkAdaptation, Plan
from linksim.blocks.semantic.digital.word_model_text import WordModelText
from linksim.blocks.semantic.received import ReceivedCaptions
from linksim.blocks.semantic.sc_lmkb import ScLmkb
from linksim.registry import register
from linksim.retrieval.data import RetrievalSet
from linksim.types import Fraction, PositiveFloat, PositiveInt

_CLEAN_SINR = 1e3
"""Of the link that a receiver which has the text simulates: its noise changes nothing."""


@dataclass(frozen=True)
class _Mixed:
    """Which captions of a batch are sent as text, ``[caption]`` bool, and the plan of those."""

    as_text: torch.Tensor
    plan: Plan


@register("semantic", "adaptive", trains=True)
class AdaptiveSemantic(ScLmkb):
    """SC-LMKB's networks, and entropy-coded text instead where the whole caption fits one NR LDPC block safely.

    Joint coding degrades gracefully, but never becomes exact; coded text is exact where it arrives. Both ends choose by
    what the transmitter's CSI promises. A receiver that has the text passes it through the transmitter's encoder and a
    link without noise of its own, so that captions sent in either way meet the same gallery. The networks are those of
    ``sc_lmkb`` with the same options: there is nothing more to train.

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
    :param target_error_rate: of blocks: text is sent where the whole caption fits at this rate.
    :param margin_db: taken off the SINR that the transmitter expects.
    """

    network_name = "sc_lmkb"
    transport_options = frozenset({"target_error_rate", "margin_db"})

    def __init__(self, width: int = 128, embedding: int = 256, num_heads: int = 8, num_layers: int = 2,
                 symbols_per_slot: int = 8, snr_low_db: float = -20.0, snr_high_db: float = 20.0,
                 threshold: float = 0.7, tries: PositiveInt = 3,
                 fusion: Literal["cross", "mean", "none"] = "cross", fusion_temperature: PositiveFloat = 0.2,
                 hallucinated: Fraction = 0.0, target_error_rate: float = 0.01, margin_db: float = 1.0) -> None:
        super().__init__(width, embedding, num_heads, num_layers, symbols_per_slot, snr_low_db, snr_high_db, threshold,
                         tries, fusion, fusion_temperature, hallucinated)
        self.link = CodedLink(LinkAdaptation(target_error_rate, margin_db))

    def prepare(self, shape: SemanticShape, data: RetrievalSet) -> None:
        super().prepare(shape, data)
        self.code = WordModelText.fit(data.train.captions)

    def encode(self, queries: Queries, expected_sinr: torch.Tensor) -> Transmission:
        symbols = super().encode(queries, expected_sinr).symbols
        if self.training:  # what is learned is the joint code
            return Transmission(symbols)
        bits = [self.code.encode(text) for text in queries.texts]
        plan = self.link.plan(expected_sinr, torch.tensor([len(one) for one in bits]))
        sizes = (plan.payload_bits * plan.safe).tolist()
        fits = [len(one) <= size for one, size in zip(bits, sizes)]
        sent = self.link.transmit([one if fit else "" for one, fit in zip(bits, fits)], plan)
        as_text = torch.tensor(fits, device=symbols.device)
        return Transmission(torch.where(as_text[:, None], sent, symbols), _Mixed(as_text, plan))

    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: Any = None) -> torch.Tensor:
        embedded = super().decode(received, noise_variance)
        if plan is None or not plan.as_text.any():
            return embedded
        delivered = self.link.receive(received, noise_variance, plan.plan)
        rows = [row for row in plan.as_text.nonzero().flatten().tolist() if delivered.passed[row]]
        if rows:
            texts = [self.code.decode(delivered.payloads[row]) for row in rows]
            embedded[rows] = self._of_text(texts)
        return embedded

    def _of_text(self, texts: list[str]) -> torch.Tensor:
        if not hasattr(self, "_received"):
            self.queries("test", torch.zeros(1, dtype=torch.int64))
            self._received = ReceivedCaptions(self._captions["test"])
        queries = self._received.queries([text or " " for text in texts], self.device)
        clean = torch.full((len(texts), self.shape.channel_uses), _CLEAN_SINR, device=self.device)
        return super().decode(self.to_symbols(self.features(queries), clean), 1 / clean)
