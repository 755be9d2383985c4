"""Quantisers: Max's table, and what every quantiser promises. Quantisers of learned codewords."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback.quantizer import (
    MAX_BITS,
    CodewordQuantizer,
    NoQuantizer,
    Quantizer,
    TableQuantizer,
    UniformQuantizer,
    lloyd_max,
)

MAX_1960 = {1: 0.3634, 2: 0.1175, 3: 0.03454, 4: 0.009497, 5: 0.002499}
"""MSE of the best quantiser of a unit Gaussian by bits, as printed: by hand, and too low by up to 0.23 %."""

EXACT = {1: 0.363380, 2: 0.117482, 3: 0.034548, 4: 0.009501, 5: 0.0025047}
"""The same, 1 - sum of level^2 * probability at Max's two conditions, solved in double precision."""


def gaussian_quantiles(count: int) -> torch.Tensor:
    """The midpoints of equally likely cells: samples of a unit Gaussian without chance."""
    return torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)


def error_of(quantizer: Quantizer, samples: torch.Tensor) -> float:
    return float((quantizer.dequantize(quantizer.quantize(samples)) - samples).square().mean())


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_lloyd_max_reaches_the_errors_of_max_1960_for_a_gaussian(bits):
    samples = gaussian_quantiles(1_000_000)
    quantizer = lloyd_max(samples, bits, num_iterations=3000)
    assert error_of(quantizer, samples) == pytest.approx(EXACT[bits], rel=3e-4)
    assert error_of(quantizer, samples) == pytest.approx(MAX_1960[bits], rel=2.5e-3)


@pytest.mark.parametrize("quantizer", [UniformQuantizer(3), UniformQuantizer(1, 0, 4),
                                       TableQuantizer(torch.tensor([-1.0, 0.5])), NoQuantizer()])
def test_a_reproduced_value_is_quantised_to_itself(quantizer):
    value = torch.linspace(-5, 5, 101)
    index = quantizer.quantize(value)
    assert index.min() >= 0
    assert index.max() < 2**quantizer.bits
    again = quantizer.quantize(quantizer.dequantize(index))
    assert torch.equal(again, index)


def test_unquantised_values_are_single_precision_numbers():
    value = torch.tensor([0.0, -1.5, 3e-30, 1e20])
    assert torch.equal(NoQuantizer().dequantize(NoQuantizer().quantize(value)).float(), value)
    assert NoQuantizer.bits == 32


def test_a_fitted_quantiser_is_no_worse_than_a_uniform_one_and_survives_few_samples():
    samples = torch.randn(5000, generator=torch.Generator().manual_seed(0)) ** 3
    peak = float(samples.abs().max())
    assert error_of(lloyd_max(samples, 3), samples) < error_of(UniformQuantizer(3, -peak, peak), samples)
    few = lloyd_max(torch.tensor([1.0, 1.0, 2.0]), 3)
    assert torch.equal(few.dequantize(few.quantize(torch.tensor([1.0, 2.0]))), torch.tensor([1.0, 2.0]).double())


def test_bits_and_limits_that_make_no_quantiser_are_refused():
    with pytest.raises(ValueError, match="at least 1 bit"):
        UniformQuantizer(0)
    with pytest.raises(ValueError, match="at least 1 bit"):
        lloyd_max(torch.zeros(3), 0)
    with pytest.raises(ValueError, match="whole number of bits"):
        TableQuantizer(torch.zeros(3))


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
