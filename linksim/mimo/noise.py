"""Noise of a link: its variance at an SNR, and its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import torch


@overload
def noise_variance_at(snr_db: float) -> float: ...
@overload
def noise_variance_at(snr_db: torch.Tensor) -> torch.Tensor: ...
@overload
def noise_variance_at(snr_db: float | torch.Tensor) -> float | torch.Tensor: ...
def noise_variance_at(snr_db: float | torch.Tensor) -> float | torch.Tensor:
    """Noise variance per complex entry, for signals of unit power."""
    return 10 ** (-snr_db / 10)


def complex_normal(shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Circular complex Gaussian values of unit variance, complex64, where the generator is: one on the CPU gives the
    same noise for every device."""
    return torch.randn(*shape, dtype=torch.complex64, generator=generator, device=generator.device)
