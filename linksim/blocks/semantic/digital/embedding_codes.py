"""Quantised embeddings: principal components of training embeddings, each with its share of the payload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from linksim.blocks.feedback.quantizer import CodewordQuantizer
from linksim.blocks.semantic.rules import MAX_VALUE_BITS
from linksim.core.errors import ScenarioError
from linksim.nr.modulation import to_strings, to_tensor

Allocation = Literal["water_filling", "equal"]

_NEGLIGIBLE = 1e-7
"""Components with less of the variance than this are never sent."""


class EmbeddingCode:
    """Unit embeddings in any number of bits: principal components with Lloyd-Max quantisers.

    Which bit goes to which component follows from the number of bits alone, so nothing of it is sent.

    :param mean: of training embeddings, ``[dimension]``.
    :param basis: principal directions in columns, the strongest first, ``[dimension, component]``.
    :param quantizer: fitted on training components.
    :param order: component that every further bit of the payload goes to, int64 ``[bit]``.

    Source: Lloyd-Max quantisation of transform coefficients with bits by greatest reduction of the error, which is
    reverse water-filling for whole bits: Gersho and Gray, Vector Quantization and Signal Compression, 1992, 8.3.
    """

    def __init__(self, mean: torch.Tensor, basis: torch.Tensor, quantizer: CodewordQuantizer, order: torch.Tensor
                 ) -> None:
        self.mean, self.basis, self.quantizer, self.order = mean, basis, quantizer, order

    @classmethod
    def fit(cls, embeddings: torch.Tensor, allocation: Allocation = "water_filling", bits: int = 6) -> EmbeddingCode:
        """Learn basis, quantisers and allocation from training embeddings alone.

        :param embeddings: ``[sample, dimension]``, of any length above zero.
        :param allocation: "equal" gives ``bits`` to each of the first components; "water_filling" gives each bit to
            the component whose error it reduces most.
        :param bits: of each component sent, with "equal".
        :raises ScenarioError: fewer than two embeddings, or bits beyond 1 to `MAX_VALUE_BITS`.
        """
        if len(embeddings) < 2:
            raise ScenarioError(f"an embedding code needs at least 2 training embeddings (given {len(embeddings)})")
        if not 1 <= bits <= MAX_VALUE_BITS:
            raise ScenarioError(f"bits of a component must be 1 to {MAX_VALUE_BITS} (given {bits})")
        unit = torch.nn.functional.normalize(embeddings.detach().double().cpu(), dim=-1)
        mean = unit.mean(0)
        _, deviation, directions = torch.linalg.svd(unit - mean, full_matrices=False)
        share = deviation.square() / deviation.square().sum().clamp_min(torch.finfo(torch.float64).tiny)
        basis = directions[:max(1, int((share > _NEGLIGIBLE).sum()))].mT
        components = (unit - mean) @ basis
        quantizer = CodewordQuantizer(basis.shape[1])
        quantizer.fit(components)
        if allocation == "equal":
            order = torch.arange(basis.shape[1]).repeat_interleave(bits)
        else:
            order = _greatest_reduction(components, quantizer)
        return cls(mean.float(), basis.float(), quantizer, order)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that was learned, for a safetensors file."""
        learned = {f"quantizer.{name}": value for name, value in self.quantizer.state_dict().items()}
        return {"mean": self.mean, "basis": self.basis.contiguous(), "order": self.order, **learned}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> EmbeddingCode:
        """The code that `tensors` describes."""
        quantizer = CodewordQuantizer(tensors["basis"].shape[1])
        quantizer.load_state_dict({name.removeprefix("quantizer."): value for name, value in tensors.items()
                                   if name.startswith("quantizer.")})
        return cls(tensors["mean"], tensors["basis"], quantizer, tensors["order"])

    @property
    def max_bits(self) -> int:
        """Payload beyond which nothing gets better."""
        return len(self.order)

    def encode(self, embeddings: torch.Tensor, num_bits: Sequence[int]) -> list[str]:
        """Bits of every embedding.

        :param embeddings: ``[caption, dimension]``, of any length above zero.
        :param num_bits: of each caption's payload, at least 0.
        :returns: strings of 0 and 1, each of its ``num_bits`` or of `max_bits` if that is less.
        """
        unit = torch.nn.functional.normalize(embeddings.detach().float().cpu(), dim=-1)
        components = (unit - self.mean) @ self.basis
        encoded = [""] * len(unit)
        for size, rows in _by_size(num_bits).items():
            found = [components.new_zeros(len(rows), 0)]
            for bits, place in self._places(size):
                index = self.quantizer.quantize(components[rows], bits)[:, place]
                found.append((index[..., None] >> torch.arange(bits - 1, -1, -1) & 1).flatten(1))
            for row, one in zip(rows, to_strings(torch.cat(found, 1))):
                encoded[row] = one
        return encoded

    def decode(self, bits: Sequence[str]) -> torch.Tensor:
        """Unit embeddings, float32 ``[caption, dimension]``; no bits at all are the mean of training embeddings.

        :param bits: whole payloads as `encode` was told them, zeros behind the code included.
        """
        decoded = self.mean.repeat(len(bits), 1)
        for size, rows in _by_size([len(one) for one in bits]).items():
            received = to_tensor([bits[row] for row in rows], size).long()
            components = torch.zeros(len(rows), self.basis.shape[1])
            at = 0
            for width, place in self._places(size):
                part = received[:, at:at + width * len(place)].unflatten(1, (len(place), width))
                at += width * len(place)
                index = torch.zeros(components.shape, dtype=torch.int64)
                index[:, place] = (part << torch.arange(width - 1, -1, -1)).sum(-1)
                components[:, place] = self.quantizer.dequantize(index, width)[:, place]
            decoded[rows] += components @ self.basis.mT
        return torch.nn.functional.normalize(decoded, dim=-1)

    def _places(self, size: int) -> list[tuple[int, torch.Tensor]]:
        """Bits of a component and the components that have so many, in the order of the payload."""
        given = torch.bincount(self.order[:size], minlength=self.basis.shape[1])
        places = [(bits, (given == bits).nonzero().flatten()) for bits in range(MAX_VALUE_BITS, 0, -1)]
        return [(bits, place) for bits, place in places if len(place)]


def _greatest_reduction(components: torch.Tensor, quantizer: CodewordQuantizer) -> torch.Tensor:
    """Components in the order in which further bits reduce the mean square error most."""
    variance = components.var(0, correction=0)
    error = [torch.tensor(1.0, dtype=torch.float64)]
    for bits in range(1, MAX_VALUE_BITS + 1):
        decoded = quantizer.dequantize(quantizer.quantize(components, bits), bits)
        error.append((components - decoded).square().mean(0).sum() / variance.sum())
    reduction = -torch.outer(torch.stack(error).diff(), variance)  # [bit, component]
    # a component's bits come in their order: each must reduce the error less than the one before
    reduction = reduction.cummin(0).values
    order = reduction.flatten().argsort(descending=True, stable=True)
    return order % len(variance)


def _by_size(sizes: Sequence[int]) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for row, size in enumerate(sizes):
        rows.setdefault(int(size), []).append(row)
    return rows
