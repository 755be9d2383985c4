"""The joint source and channel codec that DeepSC-MIMO and SC-LMKB share: what they differ in is how it learns."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.precoding.linear import water_filling
from linksim.blocks.semantic.base import Queries, Transmission
from linksim.blocks.semantic.learned import LearnedSemanticCodec
from linksim.blocks.semantic.networks.text import ChannelDecoder, ChannelEncoder, SemanticEncoder, transformer
from linksim.link.semantic import StreamLink
from linksim.retrieval.sentences import MAX_TOKENS, WIDTH

_LEAST_AMPLITUDE = 1e-3
_SILENT = 1e6
"""Noise variance of a symbol that is not sent."""


class JsccCodec(LearnedSemanticCodec):
    """Token states of a frozen sentence encoder to symbols and from symbols to an embedding, by transformer layers."""

    transport_options = frozenset({"power"})
    power: Literal["equal", "water_filling"] = "equal"
    """Of the symbols of a caption; training is with equal power."""

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
        symbols = self.to_symbols(self.features(queries), expected_sinr)
        if self.power == "equal":
            return Transmission(symbols)
        loading = water_filled(expected_sinr)
        loading = loading / (loading * symbols).abs().square().mean(1, keepdim=True).sqrt()
        return Transmission(loading * symbols, loading, loading)

    def decode(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: torch.Tensor | None = None
               ) -> torch.Tensor:
        if plan is not None:
            loading = plan.clamp_min(_LEAST_AMPLITUDE)
            received, noise_variance = received / loading, (noise_variance / loading.square()).clamp_max(_SILENT)
        heard = self.from_symbols(received, noise_variance)
        tokens = torch.cat([heard.new_zeros(len(heard), 1, self.width), heard], 1) + self.query
        return torch.nn.functional.normalize(self.to_embedding(self.decoder(tokens)[:, 0]), dim=1)

    def from_features(self, features: torch.Tensor, link: StreamLink) -> torch.Tensor:
        """Embeddings of features sent over a link, ``[caption, embedding]``; differentiable."""
        return self.decode(link.send(self.to_symbols(features, link.expected_sinr)), link.noise_variance)

    def embeddings_in_training(self, captions: torch.Tensor, items: torch.Tensor, relevant: torch.Tensor,
                               link: StreamLink) -> torch.Tensor:
        return self.from_features(self.features(self.queries("train", captions)), link)


def water_filled(expected_sinr: torch.Tensor) -> torch.Tensor:
    """Amplitudes of a caption's symbols that carry most over this channel, of unit mean square, ``[caption, use]``.

    :param expected_sinr: linear, of symbols of unit power, ``[caption, use]``.
    """
    uses = expected_sinr.shape[1]
    return water_filling(expected_sinr.clamp_min(1 / _SILENT), float(uses)).sqrt()
