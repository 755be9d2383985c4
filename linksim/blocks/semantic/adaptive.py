"""A joint codec that sends bits where bits say more: linksim's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from linksim.blocks.semantic.base import Queries, Transmission
from linksim.blocks.semantic.learned import EncoderSizes, SentSymbols
from linksim.blocks.semantic.rules import blocks_of_bits
from linksim.blocks.semantic.sc_lmkb import GeneratedCaptions, ScLmkb
from linksim.blocks.semantic.separate import SentBlocks, SeparateCodec
from linksim.blocks.semantic.worth import Worth, WorthOfJoint, Yardstick, worth_of_embedding, worth_of_text
from linksim.core.registry import register
from linksim.core.types import Fraction
from linksim.mimo.noise import complex_normal

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
