"""What the networks of the CsiNet line are put together from."""

from __future__ import annotations

import torch

NEGATIVE_SLOPE = 0.3
"""Slope of LeakyReLU, in every network of this line; LLMCsiNet, eq. (10)."""


def convolution(num_inputs: int, num_outputs: int, size: int | tuple[int, int], bias: bool = False,
                groups: int = 1) -> torch.nn.Sequential:
    """A convolution that keeps rows and beams, and batch normalisation.

    :param num_inputs: feature maps; ``num_outputs`` likewise.
    :param size: of the kernel, odd: along both axes, or (delay rows, beams).
    """
    return torch.nn.Sequential(
        torch.nn.Conv2d(num_inputs, num_outputs, size, padding="same", bias=bias, groups=groups),
        torch.nn.BatchNorm2d(num_outputs))


def leaky_relu() -> torch.nn.LeakyReLU:
    return torch.nn.LeakyReLU(NEGATIVE_SLOPE)


class ToCodeword(torch.nn.Sequential):
    """Images ``[n, 2, rows, beams]`` to codewords ``[n, num_values]``: one linear map of all parts."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__(torch.nn.Flatten(1), torch.nn.Linear(2 * rows * beams, num_values))


class ToImage(torch.nn.Sequential):
    """Codewords ``[n, num_values]`` to images ``[n, 2, rows, beams]``: one linear map."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__(torch.nn.Linear(num_values, 2 * rows * beams), torch.nn.Unflatten(1, (2, rows, beams)))


def initialize(module: torch.nn.Module) -> None:
    """Xavier's (Glorot's) uniform distribution for every matrix and kernel, zero for the biases of linear maps."""
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                torch.nn.init.zeros_(part.bias)


def begin_small(unit: torch.nn.Sequential, gain: float = 0.1) -> None:
    """Start a `convolution` with a small gain of its normalisation, where nothing published says 1.

    Parts of a window have a root mean square of some 0.05, normalised maps of 1: with gains of 1 a network begins
    15 dB above predicting zero, and spends its first thousand steps on scales.
    """
    torch.nn.init.constant_(unit[1].weight, gain)


def pad_to_patches(image: torch.Tensor, patch_size: int) -> torch.Tensor:
    """Zeros behind the last row and the last beam, ``[n, 2, rows, beams]`` to whole patches."""
    return torch.nn.functional.pad(image, (0, -image.shape[-1] % patch_size, 0, -image.shape[-2] % patch_size))
