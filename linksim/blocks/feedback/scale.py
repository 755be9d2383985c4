"""The size of a channel in a report: an amplitude on a logarithmic scale, and a number for none at all."""

from __future__ import annotations

import torch

SCALE_BITS = 10
_LOWEST_DB, _STEP_DB = -180.0, 0.25
"""Amplitudes from -180 dB (1e-9) to +75 dB; smaller ones are taken for zero, larger ones clipped."""


def scale_code(amplitude: torch.Tensor, upwards: bool = False) -> torch.Tensor:
    """The code of every amplitude, int64, 0 for an amplitude of zero.

    :param amplitude: non-negative, any shape.
    :param upwards: to the next step above instead of the nearest, so that nothing exceeds the scale.
    """
    level_db = 20 * torch.log10(amplitude.double().clamp_min(1e-300))
    steps = (level_db - _LOWEST_DB) / _STEP_DB
    steps = (steps - 1e-6).ceil() if upwards else steps.round()
    code = (steps + 1).clamp(0, 2**SCALE_BITS - 1).long()
    return torch.where(amplitude > 0, code, 0)


def scale_of(code: torch.Tensor) -> torch.Tensor:
    """The amplitude that a code means, float64; 0 for code 0."""
    amplitude = 10 ** ((_LOWEST_DB + _STEP_DB * (code.double() - 1)) / 20)
    return torch.where(code > 0, amplitude, 0.0)
