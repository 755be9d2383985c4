"""DeepSC over MIMO: a joint source and channel codec that learns from captions as they are.

SC-LMKB has the same codec; what they differ in is how it learns.
"""

from __future__ import annotations

from typing import Any

import torch

from linksim.blocks.semantic.base import Queries, Transmission
from linksim.blocks.semantic.encoders import ChannelDecoder, ChannelEncoder, SemanticEncoder, transformer
from linksim.blocks.semantic.learned import EncoderSizes, LearnedSemanticCodec, SentSymbols
from linksim.blocks.semantic.rules import networks
from linksim.core.registry import register
from linksim.mimo.stream_link import StreamLink
from linksim.retrieval.sentences import MAX_TOKENS, WIDTH


class JsccCodec(LearnedSemanticCodec):
    """Token states of a frozen sentence encoder to symbols and from symbols to an embedding, by transformer layers."""

    def __init__(self, sizes: EncoderSizes = EncoderSizes(), symbols: SentSymbols = SentSymbols()) -> None:
        super().__init__(sizes, symbols)

    def make(self) -> None:
        uses = self.shape.channel_uses
        self.num_slots = -(-uses // self.symbols_per_slot)
        self.encoder = SemanticEncoder(WIDTH, MAX_TOKENS, self.width, self.num_slots,
                                       self.num_heads, self.num_layers)
        self.to_symbols = ChannelEncoder(self.width, self.num_slots, uses)
        self.from_symbols = ChannelDecoder(self.width, self.num_slots, uses)
        self.query = torch.nn.Parameter(torch.empty(1 + self.num_slots, self.width).normal_(0, 0.02))
        self.decoder = transformer(self.width, self.num_heads, self.num_layers)
        self.to_embedding = torch.nn.Linear(self.width, self.embedding)

    def features(self, queries: Queries) -> torch.Tensor:
        """What the semantic encoder makes of captions, ``[caption, slot, width]``: s of SC-LMKB's eq. (22)."""
        return self.encoder(queries)

    def encode(self, queries: Queries, expected_sinr: torch.Tensor) -> Transmission:
        return Transmission(self.to_symbols(self.features(queries), expected_sinr))

    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: Any = None) -> torch.Tensor:
        heard = self.from_symbols(received, noise_variance)
        tokens = torch.cat([heard.new_zeros(len(heard), 1, self.width), heard], 1) + self.query
        return torch.nn.functional.normalize(self.to_embedding(self.decoder(tokens)[:, 0]), dim=1)

    def from_features(self, features: torch.Tensor, link: StreamLink) -> torch.Tensor:
        """Embeddings of features sent over a link, ``[caption, embedding]``; differentiable."""
        return self.decode(link.send(self.to_symbols(features, link.expected_sinr)), link.noise_variance)

    def embeddings_in_training(self, captions: torch.Tensor, items: torch.Tensor, relevant: torch.Tensor,
                               link: StreamLink) -> torch.Tensor:
        return self.from_features(self.features(self.queries("train", captions)), link)


@register("semantic", "deepsc_mimo", trains=True, requires=networks)
class DeepScMimo(JsccCodec):
    """Joint source-channel coding of captions by transformers, trained end to end over SVD-precoded MIMO.

    Source: H. Xie et al., "Deep Learning Enabled Semantic Communication Systems", IEEE Trans. Signal Process. 69, 2021
    (layers and widths); the MIMO baseline of SC-LMKB, Section V-A. What is adapted:

    | there | here |
    |---|---|
    | 4 + 4 layers on word embeddings learned from a corpus | 2 + 2 on a frozen sentence encoder's token states |
    | every token is sent in 8 symbols | as many slots of 8 symbols as there are channel uses for |
    | text is restored | items are retrieved: a contrastive loss |
    | noise 3 dB too low, one fade for a batch | noise of each complex symbol; every drop has its channel and SNR |
    """
