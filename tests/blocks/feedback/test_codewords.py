"""Quantisers of learned codewords."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback.codewords import MAX_BITS, CodewordQuantizer


@pytest.fixture
def codewords():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4000, 5, generator=generator) * torch.tensor([1.0, 10.0, 0.1, 3.0, 1.0]) + torch.arange(5)


def error(quantizer: CodewordQuantizer, codewords: torch.Tensor, bits: int) -> torch.Tensor:
    again = quantizer.dequantize(quantizer.quantize(codewords, bits), bits)
    return (again - codewords).square().mean(0) / codewords.var(0)


def test_a_gaussian_codeword_has_the_error_of_maxs_table(codewords):
    quantizer = CodewordQuantizer(5)
    quantizer.fit(codewords)
    for bits, expected in ((1, 0.3634), (2, 0.1175), (3, 0.03454), (4, 0.009497)):
        assert float(error(quantizer, codewords, bits).mean()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("quantization", ["lloyd_max", "uniform"])
def test_more_bits_are_never_worse_and_indices_fit_them(quantization, codewords):
    quantizer = CodewordQuantizer(5, quantization)
    quantizer.fit(codewords)
    errors = [float(error(quantizer, codewords, bits).mean()) for bits in range(1, MAX_BITS + 1)]
    assert errors == sorted(errors, reverse=True)
    for bits in range(1, MAX_BITS + 1):
        assert 0 <= int(quantizer.quantize(codewords, bits).min())
        assert int(quantizer.quantize(codewords, bits).max()) < 2**bits


def test_lloyd_max_is_no_worse_than_equal_cells(codewords):
    two = [CodewordQuantizer(5, name) for name in ("lloyd_max", "uniform")]
    for quantizer in two:
        quantizer.fit(codewords)
    for bits in range(1, 7):
        assert float(error(two[0], codewords, bits).mean()) <= float(error(two[1], codewords, bits).mean())


def test_none_is_single_precision_to_the_bit(codewords):
    quantizer = CodewordQuantizer(5, "none")
    quantizer.fit(codewords)
    assert quantizer.affordable_bits(31) == 0
    bits = quantizer.affordable_bits(40)
    assert bits == 32
    assert torch.allclose(quantizer.dequantize(quantizer.quantize(codewords, bits), bits), codewords, rtol=1e-6,
                          atol=1e-6)
