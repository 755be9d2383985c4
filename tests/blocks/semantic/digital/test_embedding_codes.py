"""Quantised embeddings: more bits are never worse, and the allocation pays."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.semantic.digital.embedding_codes import EmbeddingCode
from linksim.core.errors import ScenarioError


def embeddings(count: int, seed: int) -> torch.Tensor:
    """Unit vectors of 32 dimensions whose variances fall off over turned axes."""
    draw = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))[0]
    values = torch.randn(count, 32, generator=draw) * 0.8 ** torch.arange(32) + 0.3
    return torch.nn.functional.normalize(values @ turn, dim=-1)


@pytest.fixture(scope="module", params=["water_filling", "equal"])
def code(request) -> EmbeddingCode:
    return EmbeddingCode.fit(embeddings(1500, 1), request.param, bits=4)


def similarity(code: EmbeddingCode, bits: int) -> float:
    held_out = embeddings(300, 2)
    return float((code.decode(code.encode(held_out, [bits] * 300)) * held_out).sum(-1).mean())


def test_more_bits_bring_the_embedding_nearer_to_itself(code):
    found = [similarity(code, bits) for bits in (0, 8, 24, 64, code.max_bits)]
    assert found == sorted(found)
    assert found[-1] > 0.99
    assert similarity(code, code.max_bits + 40) == found[-1]


def test_lengths_are_as_told_and_decoded_embeddings_have_unit_length(code):
    held_out = embeddings(6, 3)
    sizes = [0, 1, 13, 64, 64, 10_000]
    bits = code.encode(held_out, sizes)
    assert [len(one) for one in bits] == [min(size, code.max_bits) for size in sizes]
    decoded = code.decode([one.ljust(size, "0") for one, size in zip(bits, sizes)])
    assert torch.allclose(decoded.norm(dim=-1), torch.ones(6))


def test_what_a_caption_becomes_does_not_depend_on_the_others(code):
    held_out = embeddings(5, 4)
    together = code.encode(held_out, [10, 20, 20, 30, 60])
    alone = [code.encode(held_out[i:i + 1], [size])[0] for i, size in enumerate([10, 20, 20, 30, 60])]
    assert together == alone


def test_water_filling_beats_equal_bits():
    water = EmbeddingCode.fit(embeddings(1500, 1))
    for bits in (16, 48, 96):
        equal = max(similarity(EmbeddingCode.fit(embeddings(1500, 1), "equal", each), bits) for each in (4, 6, 8))
        assert similarity(water, bits) > equal


def test_a_code_survives_being_stored(code):
    again = EmbeddingCode.from_tensors(code.tensors())
    held_out = embeddings(10, 5)
    bits = code.encode(held_out, [50] * 10)
    assert again.encode(held_out, [50] * 10) == bits
    assert torch.equal(again.decode(bits), code.decode(bits))


def test_too_few_embeddings_and_impossible_bits_are_refused():
    with pytest.raises(ScenarioError, match="at least 2"):
        EmbeddingCode.fit(torch.ones(1, 4))
    with pytest.raises(ScenarioError, match="1 to 8"):
        EmbeddingCode.fit(embeddings(10, 0), "equal", 9)
