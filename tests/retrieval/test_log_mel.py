"""Log-mel frames have the power of what is heard, where it is heard; audio files are read at any rate."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from linksim.core import packages
from linksim.core.errors import LinksimError, ScenarioError
from linksim.retrieval.log_mel import SAMPLE_RATE_HZ, SILENCE, fixed_frames, log_mel, mel_filters, read_audio


def tone(hz, seconds=1.0, rate=SAMPLE_RATE_HZ):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def test_neighbouring_bands_share_every_frequency_between_them():
    inside = mel_filters().sum(1)[20:480]  # beyond the first band's middle and before the last one's
    torch.testing.assert_close(inside, torch.ones_like(inside))


@pytest.mark.parametrize("hz", [300.0, 1000.0, 5000.0])
def test_a_tone_is_in_its_band_with_its_power(hz):
    frames = log_mel(torch.tensor(0.1 * tone(hz)))[5:-5].exp()
    assert frames.shape == (15, 64)
    band = int(frames.mean(0).argmax())
    assert mel_filters()[round(hz / SAMPLE_RATE_HZ * 1024), band] > 0.3
    # the window's main lobe, 1.5 bins wide in power, and the floor of all bands
    torch.testing.assert_close(frames.sum(1), torch.full((15,), 0.01 * 1.5 + 64e-6), rtol=0.03, atol=0)


def test_silence_is_the_floor_and_frames_are_40_ms():
    frames = log_mel(torch.zeros(2, 4 * SAMPLE_RATE_HZ))
    assert frames.shape == (2, 100, 64)
    torch.testing.assert_close(frames, torch.full_like(frames, SILENCE))


def test_a_click_is_heard_when_it_happens():
    samples = torch.zeros(SAMPLE_RATE_HZ)
    samples[SAMPLE_RATE_HZ // 2] = 1
    assert abs(int(log_mel(samples).sum(1).argmax()) - 12.5) <= 0.5


def test_frames_are_cut_or_filled_up():
    frames = torch.ones(3, 2)
    assert fixed_frames(frames, 2, 0.0).shape == (2, 2)
    assert fixed_frames(frames, 5, 7.0).tolist() == [[1, 1]] * 3 + [[7, 7]] * 2


@pytest.mark.parametrize(("rate", "scale"), [(16000, np.float32(1)), (44100, np.int16(32767)), (8000, np.uint8(127))])
def test_files_are_read_at_any_rate_and_format(rate, scale, tmp_path):
    wave = tone(440, 0.5, rate)
    stored = (wave * scale + (128 if scale.dtype == np.uint8 else 0)).astype(scale.dtype)
    wavfile.write(tmp_path / "a.wav", rate, np.stack([stored, stored], 1))
    samples = read_audio(tmp_path / "a.wav")
    assert samples.dtype == torch.float32
    assert len(samples) == pytest.approx(8000, abs=2)
    middle = slice(1000, 7000)
    np.testing.assert_allclose(samples[middle], tone(440, 0.5)[middle], atol=0.03)


def test_what_cannot_be_read_is_one_line(tmp_path, without):
    (tmp_path / "a.wav").write_bytes(b"RIFF nonsense")
    with pytest.raises(ScenarioError, match=r"a\.wav: cannot be read as \.wav"):
        read_audio(tmp_path / "a.wav")
    without("soundfile")
    with pytest.raises(LinksimError, match=r"a\.ogg: package soundfile is not installed: `uv run …` brings it, or "):
        read_audio(tmp_path / "a.ogg")


def test_other_files_are_read_by_soundfile(tmp_path, monkeypatch):
    reader = types.ModuleType("soundfile")
    reader.read = lambda path, always_2d: (np.ones((32000, 2)), 32000)
    monkeypatch.setitem(sys.modules, "soundfile", reader)
    monkeypatch.setattr(packages, "installed_version", lambda name: "0.13")
    assert len(read_audio(tmp_path / "a.ogg")) == 16000
