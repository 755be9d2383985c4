"""Encoders of captions and of gallery items, and the way of feature vectors to and from channel symbols.

The one of captions is from: H. Xie, Z. Qin, G. Y. Li and B.-H. Juang, "Deep Learning Enabled Semantic Communication
Systems", IEEE Trans. Signal Process. 69, 2021, Section III and Table II: transformer layers of width 128 with 8 heads,
a channel encoder 128 -> 256 -> 16, so 8 complex symbols for each vector. There every token is sent; here a fixed number
of vectors gathers what the caption says, so that the number of channel uses does not depend on its length.
"""

from __future__ import annotations

import torch

from linksim.blocks.semantic.base import Queries

_HIDDEN = 256
_FEED_FORWARD = 4
_DROPOUT = 0.1


def transformer(width: int, num_heads: int, num_layers: int) -> torch.nn.TransformerEncoder:
    """Pre-normalised transformer layers."""
    layer = torch.nn.TransformerEncoderLayer(width, num_heads, _FEED_FORWARD * width, _DROPOUT, "gelu",
                                             batch_first=True, norm_first=True)
    return torch.nn.TransformerEncoder(layer, num_layers, torch.nn.LayerNorm(width), enable_nested_tensor=False)


class SemanticEncoder(torch.nn.Module):
    """Captions to features ``[caption, slot, width]``: slots attend to tokens and to each other.

    :param token_width: entries of a token state and of a sentence vector.
    """

    def __init__(self, token_width: int, num_tokens: int, width: int, num_slots: int, num_heads: int, num_layers: int
                 ) -> None:
        super().__init__()
        self.from_tokens = torch.nn.Linear(token_width, width)
        self.from_sentence = torch.nn.Linear(token_width, num_slots * width)
        self.positions = torch.nn.Parameter(torch.empty(num_tokens, width).normal_(0, 0.02))
        self.slots = torch.nn.Parameter(torch.empty(num_slots, width).normal_(0, 0.02))
        self.layers = transformer(width, num_heads, num_layers)

    def forward(self, queries: Queries) -> torch.Tensor:
        """:param queries: whatever their padding, the result is the same."""
        tokens = self.from_tokens(queries.tokens) + self.positions[:queries.tokens.shape[1]]
        slots = self.from_sentence(queries.pooled).unflatten(1, self.slots.shape) + self.slots
        padding = torch.cat([queries.mask.new_zeros(slots.shape[:2]), ~queries.mask], 1)
        return self.layers(torch.cat([slots, tokens], 1), src_key_padding_mask=padding)[:, :slots.shape[1]]


class ChannelEncoder(torch.nn.Module):
    """Features ``[caption, slot, width]`` and expected SINRs to complex symbols ``[caption, use]``, unit mean power."""

    def __init__(self, width: int, num_slots: int, channel_uses: int) -> None:
        super().__init__()
        self.channel_uses = channel_uses
        self.symbols = -(-channel_uses // num_slots)
        self.layers = torch.nn.Sequential(torch.nn.Linear(width + self.symbols, _HIDDEN), torch.nn.ReLU(),
                                          torch.nn.Linear(_HIDDEN, 2 * self.symbols))

    def forward(self, features: torch.Tensor, expected_sinr: torch.Tensor) -> torch.Tensor:
        """:param expected_sinr: linear, ``[caption, use]``."""
        known = per_slot(level(expected_sinr), features.shape[1])
        parts = self.layers(torch.cat([features, known], -1)).float()
        symbols = torch.view_as_complex(parts.unflatten(2, (self.symbols, 2)).contiguous()).flatten(1)
        return unit_power(symbols[:, :self.channel_uses])


class ChannelDecoder(torch.nn.Module):
    """Received symbols and their noise to features ``[caption, slot, width]``."""

    def __init__(self, width: int, num_slots: int, channel_uses: int) -> None:
        super().__init__()
        self.num_slots = num_slots
        self.layers = torch.nn.Sequential(torch.nn.Linear(3 * -(-channel_uses // num_slots), _HIDDEN), torch.nn.ReLU(),
                                          torch.nn.Linear(_HIDDEN, width))

    def forward(self, received: torch.Tensor, noise_variance: torch.Tensor) -> torch.Tensor:
        """:param received: complex, ``[caption, use]``; ``noise_variance`` likewise, for symbols of unit power."""
        shrunk = received / (1 + noise_variance)  # what LMMSE makes of a Gaussian symbol: noise alone becomes nothing
        parts = (shrunk.real, shrunk.imag, level(1 / noise_variance))
        return self.layers(torch.cat([per_slot(part, self.num_slots) for part in parts], -1))


def unit_power(symbols: torch.Tensor) -> torch.Tensor:
    """Symbols ``[caption, use]`` scaled to unit mean power over each caption."""
    power = symbols.abs().square().mean(1, keepdim=True)
    return symbols / power.clamp_min(torch.finfo(power.dtype).tiny).sqrt()


def level(sinr: torch.Tensor) -> torch.Tensor:
    """An SINR as a number that a network can read: 1 for 20 dB, between -2 and 3."""
    return (10 * torch.log10(sinr.clamp_min(1e-4)) / 20).clamp(-2, 3)


def per_slot(values: torch.Tensor, num_slots: int) -> torch.Tensor:
    """``[caption, use]`` to ``[caption, slot, value]``, zeros behind the last use."""
    missing = -values.shape[1] % num_slots
    return torch.nn.functional.pad(values, (0, missing)).unflatten(1, (num_slots, -1))


_KERNEL, _STRIDE = 5, 2


class ItemEncoder(torch.nn.Module):
    """Features ``[item, frame, feature]`` to embeddings of unit length ``[item, embedding]``.

    Sequences (audio, motion) pass two convolutions over time and are pooled by mean and maximum; a single frame (a
    picture's features) passes as it is.

    :param num_frames: 1 for pictures.
    :param mean: of the training items' features, ``[feature]``; ``deviation`` likewise.
    """

    def __init__(self, num_frames: int, mean: torch.Tensor, deviation: torch.Tensor, width: int, embedding: int
                 ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation.clamp_min(1e-3))
        features = len(mean)
        self.over_time = torch.nn.Sequential(
            torch.nn.Conv1d(features, width, _KERNEL, _STRIDE, _KERNEL // 2), torch.nn.GELU(),
            torch.nn.Conv1d(width, width, _KERNEL, _STRIDE, _KERNEL // 2), torch.nn.GELU(),
        ) if num_frames > 1 else None
        pooled = 2 * width if num_frames > 1 else features
        self.straight = torch.nn.Linear(pooled, embedding)
        self.bent = torch.nn.Sequential(torch.nn.Linear(pooled, 2 * width), torch.nn.GELU(),
                                        torch.nn.Dropout(_DROPOUT), torch.nn.Linear(2 * width, embedding))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """:param features: ``[item, frame, feature]``."""
        scaled = (features - self.mean) / self.deviation
        if self.over_time is None:
            pooled = scaled[:, 0]
        else:
            frames = self.over_time(scaled.mT)
            pooled = torch.cat([frames.mean(2), frames.amax(2)], 1)
        return torch.nn.functional.normalize(self.straight(pooled) + self.bent(pooled), dim=1)
