"""Exponentials of imaginary numbers, the second dearest step of a response after its matrix products."""

from __future__ import annotations

import math

import torch


def unit_phasor(angle: torch.Tensor) -> torch.Tensor:
    """exp(j angle). Vectorised sine and cosine: twice as fast as `torch.polar` on a CPU."""
    return torch.complex(angle.cos(), angle.sin())


def phasor(rate: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """exp(j rate grid).

    :param rate: ``[..., ray]``, radian per unit of the grid.
    :param grid: ``[point]``; its dtype may be wider than the rate's.
    :returns: ``[..., point, ray]``, complex, of the rate's precision.
    """
    coarse, fine = phasor_factors(rate, grid)
    return (coarse.unsqueeze(-2) * fine.unsqueeze(-3)).flatten(-3, -2)


def phasor_factors(rate: torch.Tensor, grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two factors whose outer product is the phasor.

    On a uniform grid of n points only about 2 sqrt(n) exponentials are taken: ``grid[a b + i]`` is
    ``grid[a b] + (grid[i] - grid[0])``.

    :returns: ``[..., a, ray]`` and ``[..., b, ray]``; point ``i`` of the grid is ``(i // b, i % b)``.
    """
    inner = _divisor(len(grid)) if _is_uniform(grid) else 1
    coarse, fine = (unit_phasor(part.to(rate).unsqueeze(-1) * rate.unsqueeze(-2))
                    for part in (grid[::inner], grid[:inner] - grid[0]))
    return coarse, fine


def _divisor(number: int) -> int:
    """The divisor nearest below the square root; 1 for primes."""
    return max(d for d in range(1, math.isqrt(number) + 1) if number % d == 0)


def _is_uniform(grid: torch.Tensor) -> bool:
    if len(grid) < 3:
        return True
    line = grid[0] + (grid[-1] - grid[0]) / (len(grid) - 1) * torch.arange(len(grid), dtype=grid.dtype,
                                                                          device=grid.device)
    # the deviation counts in units of the grid's own rounding
    return bool((grid - line).abs().max() <= 4 * torch.finfo(grid.dtype).eps * grid.abs().max())
