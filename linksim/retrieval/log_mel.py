"""Audio as log-mel frames, and audio files as samples at 16 kHz."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import torch

from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.packages import import_optional

SAMPLE_RATE_HZ = 16_000
NUM_BANDS = 64
HOP_S = 0.04
"""Between the starts of two frames; a window is 64 ms long."""

_WINDOW = 1024
_HOP = round(HOP_S * SAMPLE_RATE_HZ)
_LOWEST_HZ = 40.0
_FLOOR = 1e-6
"""Added to powers: 60 dB below a full-scale tone there is nothing."""


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Natural logarithm of the power in bands of equal width on the mel scale.

    :param samples: ``[…, sample]`` float at 16 kHz, full scale 1.
    :returns: ``[…, frame, 64]`` float32, one frame every 40 ms.
    """
    num_frames = samples.shape[-1] // _HOP
    padded = torch.nn.functional.pad(samples.float(), (_WINDOW // 2, _WINDOW // 2))
    window = torch.hann_window(_WINDOW)
    spectrum = torch.fft.rfft(padded.unfold(-1, _WINDOW, _HOP)[..., :num_frames, :] * window)
    # a full-scale tone has the power 1 in all bands together
    power = spectrum.abs().square() * 4 / (window.sum() ** 2)
    return torch.log(power @ mel_filters() + _FLOOR)


@cache
def mel_filters() -> torch.Tensor:
    """Triangles that overlap by half, ``[frequency, band]``, from 40 Hz to half the sampling rate.

    Source: the mel scale of HTK, 2595 log10(1 + f / 700 Hz).
    """
    low, high = (2595 * math.log10(1 + f / 700) for f in (_LOWEST_HZ, SAMPLE_RATE_HZ / 2))
    corners = 700 * (10 ** (torch.linspace(low, high, NUM_BANDS + 2, dtype=torch.float64) / 2595) - 1)
    frequency = torch.linspace(0, SAMPLE_RATE_HZ / 2, _WINDOW // 2 + 1, dtype=torch.float64)[:, None]
    rising = (frequency - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequency) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp_min(0).float()


def fixed_frames(features: torch.Tensor, num_frames: int, pad: float) -> torch.Tensor:
    """``[frame, feature]`` cut or filled up at the end to a number of frames."""
    missing = num_frames - len(features)
    return torch.nn.functional.pad(features[:num_frames], (0, 0, 0, max(missing, 0)), value=pad)


SILENCE = math.log(_FLOOR)
"""A frame's value where there is no sound."""


def read_audio(path: Path) -> torch.Tensor:
    """An audio file as ``[sample]`` float32 at 16 kHz, its channels' mean.

    :raises ScenarioError: it cannot be read.
    :raises LinksimError: it is no ``.wav``, and the package that reads others is not installed.
    """
    from scipy import signal  # start-up

    samples, rate = _wav(path) if path.suffix.lower() == ".wav" else _other(path)
    if not len(samples):
        raise ScenarioError(f"{path}: holds no sound")
    if rate != SAMPLE_RATE_HZ:
        common = math.gcd(rate, SAMPLE_RATE_HZ)
        samples = signal.resample_poly(samples, SAMPLE_RATE_HZ // common, rate // common)
    return torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))


def _wav(path: Path) -> tuple[np.ndarray, int]:
    from scipy.io import wavfile  # start-up

    try:
        rate, samples = wavfile.read(path)
    except (OSError, ValueError, EOFError) as error:
        raise ScenarioError(f"{path}: cannot be read as .wav: {error}") from None
    if samples.dtype.kind != "f":
        middle, full_scale = (128, 128) if samples.dtype == np.uint8 else (0, np.iinfo(samples.dtype).max)
        samples = (samples.astype(np.float64) - middle) / full_scale
    return (samples.mean(1) if samples.ndim == 2 else samples).astype(np.float64), rate


def _other(path: Path) -> tuple[np.ndarray, int]:
    try:
        soundfile = import_optional("soundfile", "soundfile")
    except LinksimError as error:
        raise LinksimError(f"{path}: {error}") from None
    try:
        samples, rate = soundfile.read(path, always_2d=True)
    except (OSError, RuntimeError) as error:
        raise ScenarioError(f"{path}: cannot be read as audio: {error}") from None
    return samples.mean(1), rate
