"""Quantisers of learned codewords, fitted on training codewords alone, one for each number of bits."""

from __future__ import annotations

import torch

from linksim.blocks.feedback.quantizer import NoQuantizer, Quantization, Quantizer, TableQuantizer, lloyd_max

MAX_BITS = 10
"""Finest table that is fitted; a larger budget is left unused."""

def least_bits(quantization: Quantization) -> int:
    """Fewest bits an element can have."""
    return NoQuantizer.bits if quantization == "none" else 1


_TABLES = ("lloyd_max", "uniform")
"""Both are fitted: how a codeword is quantised is chosen when it is used."""

_MAX_SAMPLES = 200_000
_CLIPPED = 1e-3
"""Share of training values beyond each limit of the uniform quantiser."""


class CodewordQuantizer(torch.nn.Module):
    """Elements of a codeword, each brought to mean 0 and deviation 1, in one table for all of them.

    :param num_elements: of a codeword; 1 where elements are of one kind.
    :param quantization: "lloyd_max", "uniform", or "none" (single-precision numbers).

    Source: "the Lloyd-Max algorithm is employed for quantizing the compressed codewords", LLMCsiNet, V-C; bits per
    element and normalisation are not given there.
    """

    def __init__(self, num_elements: int, quantization: Quantization = "lloyd_max") -> None:
        super().__init__()
        self.quantization = quantization
        self.register_buffer("mean", torch.zeros(num_elements))
        self.register_buffer("deviation", torch.ones(num_elements))
        self.register_buffer("levels", torch.linspace(-1, 1, 2**MAX_BITS).repeat(len(_TABLES), MAX_BITS, 1))

    def affordable_bits(self, bits: int) -> int:
        """Bits of an element that ``bits`` are left for; 0 if that is too few."""
        if self.quantization == "none":
            return NoQuantizer.bits if bits >= NoQuantizer.bits else 0
        return min(bits, MAX_BITS)

    def fit(self, codewords: torch.Tensor) -> None:
        """Learn means, deviations and tables.

        :param codewords: ``[sample, element]`` of training drops; with one element, ``[value, 1]``.
        """
        codewords = codewords.detach().double().cpu()
        self.mean.copy_(codewords.mean(0))
        deviation = codewords.std(0, correction=0)
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))
        value = ((codewords - self.mean.cpu()) / self.deviation.cpu()).flatten()
        value = value[::-(-len(value) // _MAX_SAMPLES)]
        limits = torch.quantile(value, torch.tensor([_CLIPPED, 1 - _CLIPPED], dtype=value.dtype))
        for bits in range(1, MAX_BITS + 1):
            middle = (torch.arange(2**bits) + 0.5) / 2**bits
            tables = {"lloyd_max": lloyd_max(value, bits).levels, "uniform": limits[0] + limits.diff() * middle}
            for row, name in enumerate(_TABLES):
                self.levels[row, bits - 1, :2**bits].copy_(tables[name])

    def quantize(self, codeword: torch.Tensor, bits: int) -> torch.Tensor:
        """Indices, int64, of codewords ``[..., element]``."""
        return self._table(bits).quantize((codeword.double().cpu() - self.mean.cpu()) / self.deviation.cpu())

    def dequantize(self, index: torch.Tensor, bits: int) -> torch.Tensor:
        """Values of indices ``[..., element]``, single precision, where the module is."""
        value = self._table(bits).dequantize(index) * self.deviation.cpu() + self.mean.cpu()
        return value.float().to(self.mean.device)

    def _table(self, bits: int) -> Quantizer:
        if self.quantization == "none":
            return NoQuantizer()
        return TableQuantizer(self.levels[_TABLES.index(self.quantization), bits - 1, :2**bits].cpu())
