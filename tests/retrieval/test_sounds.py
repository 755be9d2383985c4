"""Sounds are what their descriptions say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linksim.retrieval import sounds
from linksim.retrieval.log_mel import SAMPLE_RATE_HZ
from linksim.retrieval.sounds import (
    KINDS,
    LOUDNESS,
    Clip,
    Event,
    Sounds,
    caption,
    clip_samples,
    draw_clips,
    event_samples,
)


def centroid_hz(samples):
    power = np.abs(np.fft.rfft(samples)) ** 2
    return (power * np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)).sum() / power.sum()


def samples_of(kind, variant, seed=0, loudness="loud", length="long", times=1):
    return event_samples(Event(kind, variant, loudness, length, times), np.random.default_rng(seed))


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if "high" in kind.variants])
def test_high_is_higher_than_low(kind):
    low, high = (max if variant == "low" else min for variant in ("low", "high"))
    assert low(centroid_hz(samples_of(kind, "low", seed)) for seed in range(4)) \
        < high(centroid_hz(samples_of(kind, "high", seed)) for seed in range(4))


def test_a_rising_sweep_ends_higher_than_it_begins():
    for variant, sign in (("rising", 1), ("falling", -1)):
        samples = samples_of("sweep", variant)
        half = len(samples) // 2
        assert sign * (centroid_hz(samples[half:]) - centroid_hz(samples[:half])) > 500


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_as_loud_as_said(kind):
    variant = next(iter(KINDS[kind].variants))
    for loudness, level in LOUDNESS.items():
        rms = np.sqrt(np.mean(samples_of(kind, variant, loudness=loudness) ** 2))
        assert 0.8 * level < rms < 1.2 * level


def test_repetitions_are_separated_by_silence():
    samples = samples_of("tone", "low", length="short", times=3)
    heard = np.convolve(np.abs(samples), np.ones(400) / 400, "same") > 0.02
    assert (np.diff(heard.astype(int)) == 1).sum() + heard[0] == 3


def test_the_second_event_comes_second():
    events = (Event("tone", "low", "loud", "short", 1), Event("noise", "high", "loud", "short", 1))
    samples = clip_samples(Clip(events, "silence"), 0).numpy()
    assert len(samples) == 4 * SAMPLE_RATE_HZ
    half = len(samples) // 2
    assert centroid_hz(samples[:half]) < 500
    assert centroid_hz(samples[half:]) > 2500


@pytest.mark.parametrize("scene", ["hiss", "wind", "rain", "hum"])
def test_backgrounds_are_heard_but_below_events(scene):
    silence, background = (clip_samples(Clip((), name), 0).square().mean() for name in ("silence", scene))
    assert 10 * silence < background < 0.5 * LOUDNESS["soft"] ** 2


def test_captions_keep_the_order_of_events():
    clip = Clip((Event("bell", "low", "loud", "short", 1), Event("siren", "slow", "soft", "long", 1)), "silence")
    rng = np.random.default_rng(0)
    for _ in range(30):
        text = caption(clip, rng)
        first = min(text.find(noun) for noun in KINDS["bell"].nouns if noun in text)
        second = min(text.find(noun) for noun in KINDS["siren"].nouns if noun in text)
        assert (first < second) != (" after " in text), text


def test_clips_differ_and_more_leave_the_first_as_they_are():
    clips = draw_clips(300, 0)
    assert len(set(clips)) == 300
    assert draw_clips(50, 0) == clips[:50]


def test_the_set_is_whole_and_made_once(check_set, monkeypatch):
    one = Sounds(num_clips=20).load()
    check_set(one, "audio", (100, 64))
    assert [len(split.captions) for split in one.splits.values()] == [42, 6, 12]
    monkeypatch.setattr(sounds, "log_mel", lambda _: pytest.fail("made again"))
    again = Sounds(num_clips=20).load()
    assert again.test.captions == one.test.captions
    assert torch.equal(again.test.features, one.test.features)
