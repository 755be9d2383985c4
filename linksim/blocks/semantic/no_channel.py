"""The ceiling of any link: captions reach the receiver as they are."""

from __future__ import annotations

from typing import Any

import torch

from linksim.blocks.semantic.base import Queries, Transmission
from linksim.blocks.semantic.encoders import SemanticEncoder
from linksim.blocks.semantic.learned import EncoderSizes, LearnedSemanticCodec, SentSymbols
from linksim.blocks.semantic.rules import networks
from linksim.blocks.semantic.sc_lmkb import GeneratedCaptions, LearnsFromGenerated
from linksim.core.registry import register
from linksim.mimo.stream_link import StreamLink
from linksim.retrieval.sentences import MAX_TOKENS, WIDTH

_NUM_SLOTS = 2


@register("semantic", "no_channel", trains=True, requires=networks)
class NoChannel(LearnedSemanticCodec):
    """Retrieval without a channel between caption and gallery: what no link can be better than.

    The same encoders as the joint codecs', trained as long; whatever is sent arrives.
    """

    channel_free = True

    def __init__(self, sizes: EncoderSizes = EncoderSizes(num_layers=4)) -> None:
        super().__init__(sizes, SentSymbols(symbols_per_slot=1, snr_low_db=0.0, snr_high_db=0.0))

    def make(self) -> None:
        self.encoder = SemanticEncoder(WIDTH, MAX_TOKENS, self.width, _NUM_SLOTS,
                                       self.num_heads, self.num_layers)
        self.to_embedding = torch.nn.Linear(_NUM_SLOTS * self.width, self.embedding)

    def features(self, queries: Queries) -> torch.Tensor:
        """What the encoder makes of captions, ``[caption, slot, width]``."""
        return self.encoder(queries)

    def from_features(self, features: torch.Tensor, link: StreamLink | None = None) -> torch.Tensor:
        """Embeddings of features, which no link has touched, ``[caption, embedding]``."""
        return torch.nn.functional.normalize(self.to_embedding(features.flatten(1)), dim=1)

    def embed(self, queries: Queries) -> torch.Tensor:
        """Embeddings of unit length of captions as they are, ``[caption, embedding]``."""
        return self.from_features(self.features(queries))

    def encode(self, queries: Queries, expected_sinr: torch.Tensor) -> Transmission:
        return Transmission(torch.zeros_like(expected_sinr, dtype=torch.complex64), queries)

    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: Any) -> torch.Tensor:
        return self.embed(plan)

    def embeddings_in_training(self, captions: torch.Tensor, items: torch.Tensor, relevant: torch.Tensor,
                               link: StreamLink) -> torch.Tensor:
        return self.embed(self.queries("train", captions))


@register("semantic", "no_channel_generated", trains=True, requires=networks)
class NoChannelGenerated(LearnsFromGenerated, NoChannel):
    """As ``no_channel``, trained with generated captions as ``sc_lmkb`` is."""

    def __init__(self, sizes: EncoderSizes = EncoderSizes(num_layers=4),
                 generated: GeneratedCaptions = GeneratedCaptions()) -> None:
        NoChannel.__init__(self, sizes)
        self.learn_from(generated)
