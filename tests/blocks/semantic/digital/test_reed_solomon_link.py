"""The Reed-Solomon link: what it corrects, and what it hands on."""

from __future__ import annotations

import random

import pytest
import torch

from linksim.blocks.semantic.digital.reed_solomon_link import ReedSolomonLink
from linksim.blocks.semantic.digital.text_codes import HuffmanText
from linksim.core.errors import ScenarioError


def payloads(link: ReedSolomonLink, count: int) -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choice("01") for _ in range(link.payload_bits)) for _ in range(count)]


def noisy(symbols: torch.Tensor, snr_db: float) -> torch.Tensor:
    parts = torch.randn(2, *symbols.shape, generator=torch.Generator().manual_seed(1))
    return symbols + torch.complex(parts[0], parts[1]) * (10 ** (-snr_db / 10) / 2) ** 0.5


@pytest.mark.parametrize(("uses", "order", "rate", "symbol_bits"),
                         [(64, 4, 0.5, 8), (64, 2, 0.7, 4), (600, 6, 0.8, 8), (33, 1, 0.4, 4)])
def test_payloads_come_back_over_a_good_channel_and_power_is_one(uses, order, rate, symbol_bits):
    link = ReedSolomonLink(uses, order, rate, symbol_bits)
    sent = payloads(link, 10)
    symbols = link.transmit(sent)
    assert symbols.shape == (10, uses)
    assert float(symbols.abs().square().mean()) == pytest.approx(1, abs=0.1)
    assert 0.6 * rate < link.payload_bits / (uses * order) < 1.3 * rate
    decoded, corrected = link.receive(noisy(symbols, 35.0))
    assert decoded == sent
    assert corrected.all()


def test_as_many_wrong_symbols_as_half_the_parity_are_corrected_and_no_more():
    link = ReedSolomonLink(64, 8, 0.5, 8)  # one code symbol is one channel use
    sent = payloads(link, 5)
    for wrong, right in ((16, True), (17, False)):
        symbols = link.transmit(sent)
        symbols[:, 10:10 + wrong] *= -1
        decoded, corrected = link.receive(symbols)
        assert (decoded == sent) == right
        assert bool(corrected.all()) == right


def test_errors_fall_with_the_snr_and_reach_the_text(training_captions, held_out_captions):
    code, link = HuffmanText.fit(training_captions), ReedSolomonLink(160, 4, 0.6)
    captions = [caption.casefold() for caption in held_out_captions[:40]]
    symbols = link.transmit([code.encode(caption, link.payload_bits) for caption in captions])
    right, alike = [], []
    for snr_db in (4.0, 10.0, 14.0, 25.0):
        texts = [code.decode(bits) for bits in link.receive(noisy(symbols, snr_db))[0]]
        right.append(sum(caption.startswith(text) for caption, text in zip(captions, texts)) / 40)
        alike.append(sum(text[:3] == caption[:3] for caption, text in zip(captions, texts)) / 40)
    assert max(right[:2]) < 0.1
    assert right[-1] == 1
    assert alike[1] > right[1]  # a code word beyond repair keeps what was received right


def test_options_and_blocks_without_room_are_refused():
    with pytest.raises(ScenarioError, match="hold no Reed-Solomon"):
        ReedSolomonLink(4, 2)
    with pytest.raises(ScenarioError, match="between 0 and 1"):
        ReedSolomonLink(64, rate=1.0)
    with pytest.raises(ScenarioError, match="4 or 8"):
        ReedSolomonLink(64, symbol_bits=5)
    with pytest.raises(ScenarioError, match="bits of a symbol"):
        ReedSolomonLink(64, order=5)
    with pytest.raises(ValueError, match="do not fit"):
        ReedSolomonLink(64).transmit(["1" * 1000])
