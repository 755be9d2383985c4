"""Inverses of Hermitian positive definite matrices, many at a time, differentiable."""

from __future__ import annotations

from typing import Any

import torch

_FACTORED_AT_ONCE = 32
"""Larger matrices are inverted by halves."""

_LARGEST_RESIDUAL = 0.01
"""Of an inverse in single precision, relative; what has more is inverted again in double precision."""


class _HermitianInverse(torch.autograd.Function):
    """An inverse whose derivative is two products rather than that of a factorisation."""

    @staticmethod
    def forward(ctx: Any, matrix: torch.Tensor) -> torch.Tensor:
        inverse, failed = _inverse_by_halves(matrix)
        failed = failed | ~(_residual(matrix, inverse) < _LARGEST_RESIDUAL)
        if failed.any():  # little noise beside strong waves
            inverse[failed] = torch.cholesky_inverse(torch.linalg.cholesky(matrix[failed].to(torch.complex128))
                                                     ).to(inverse.dtype)
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        inverse, = ctx.saved_tensors
        return -(inverse @ (gradient @ inverse))


def hermitian_inverse(matrix: torch.Tensor) -> torch.Tensor:
    """Inverse of Hermitian positive definite matrices, ``[..., n, n]``, differentiable.

    Matrices that single precision cannot factor, or inverts badly, are inverted in double precision.

    :raises torch.linalg.LinAlgError: one is not positive definite there either.
    """
    inverse: torch.Tensor = _HermitianInverse.apply(matrix)  # type: ignore[no-untyped-call]
    return inverse


def _residual(matrix: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """How far matrix times inverse takes a vector from itself, ``[...]``: a chirp, which no eigenvector is like."""
    size = matrix.shape[-1]
    angle = 0.7 * torch.arange(size, device=matrix.device, dtype=matrix.real.dtype).square()
    probe = torch.polar(torch.ones_like(angle), angle).to(matrix.dtype)[:, None]
    return torch.linalg.vector_norm(matrix @ (inverse @ probe) - probe, dim=(-2, -1)) / size**0.5


def _inverse_by_halves(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """By Schur complements: products run on all cores, factorisations of a batch one after the other.

    :returns: inverses ``[..., n, n]``, and which of them are none, ``[...]`` bool.
    """
    size = matrix.shape[-1]
    if size <= _FACTORED_AT_ONCE:
        factor, fault = torch.linalg.cholesky_ex(matrix)
        failed = fault != 0
        if failed.any():  # what is left of them may have zeros on the diagonal, which cannot be inverted
            identity = torch.eye(size, dtype=factor.dtype, device=factor.device)
            factor = torch.where(failed[..., None, None], identity, factor)
        return torch.cholesky_inverse(factor), failed
    half = size // 2
    corner, corner_failed = _inverse_by_halves(matrix[..., :half, :half])
    side = corner @ matrix[..., :half, half:]
    rest, rest_failed = _inverse_by_halves(matrix[..., half:, half:] - matrix[..., half:, :half] @ side)
    across = side @ rest
    inverse = torch.empty_like(matrix)
    inverse[..., :half, :half] = corner + across @ side.mH
    inverse[..., :half, half:] = -across
    inverse[..., half:, :half] = -across.mH
    inverse[..., half:, half:] = rest
    return inverse, corner_failed | rest_failed
