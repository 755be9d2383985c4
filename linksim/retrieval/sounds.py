"""Described sounds, made of formulas: one or two events over a background, told in a small grammar with synonyms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import signal

from linksim.core.cache import cached_tensors
from linksim.core.registry import register
from linksim.core.seeding import stream_seed
from linksim.core.types import NonNegativeInt, PositiveInt
from linksim.retrieval.data import RetrievalData, RetrievalSet, built_in_splits, pick
from linksim.retrieval.log_mel import SAMPLE_RATE_HZ, log_mel
from linksim.retrieval.requirements import identities

LOUDNESS = {"soft": 0.03, "loud": 0.3}
"""Root mean square of an event while it lasts."""
LENGTH_S = {"short": (0.25, 0.4), "long": (1.1, 1.5)}
_GAP_S = (0.12, 0.2)


@dataclass(frozen=True)
class Event:
    """One sound of a clip.

    :param kind: key of `KINDS`.
    :param variant: one of the kind's variants.
    :param times: how often it is heard, one after the other; only of short ones more than once.
    """

    kind: str
    variant: str
    loudness: str
    length: str
    times: int


@dataclass(frozen=True)
class Kind:
    """A family of sounds.

    :param make: samples from (variant, number of samples, random stream), of any loudness.
    :param variants: words for each of them, put before the noun.
    :param nouns: what one is called.
    """

    make: Callable[[str, int, np.random.Generator], np.ndarray]
    variants: dict[str, tuple[str, ...]]
    nouns: tuple[str, ...]


_PITCH = {"low": ("low", "deep", "low-pitched"), "high": ("high", "high-pitched", "shrill")}
_RATE = {"slow": ("slow", "slowly repeating"), "fast": ("fast", "rapid", "quick")}
_SLOPE = {"rising": ("rising", "upward", "ascending"), "falling": ("falling", "downward", "descending")}


def _seconds(count: int) -> np.ndarray:
    return np.arange(count) / SAMPLE_RATE_HZ


def _around(hz: float, rng: np.random.Generator) -> float:
    """A frequency near the one given, within 15 %."""
    return hz * (1 + 0.15 * rng.uniform(-1, 1))


def _tone(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * _around({"low": 220, "high": 1900}[variant], rng) * _seconds(count))


def _buzz(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    return signal.sawtooth(2 * np.pi * _around({"low": 90, "high": 600}[variant], rng) * _seconds(count))


def _sweep(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    ends = _around(250, rng), _around(3000, rng)
    first, last = ends if variant == "rising" else ends[::-1]
    return signal.chirp(_seconds(count), first, count / SAMPLE_RATE_HZ, last, method="logarithmic")


def _birds(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Chirps of some 60 ms, at a slow or a fast rate."""
    period = {"slow": 0.3, "fast": 0.11}[variant] * rng.uniform(0.9, 1.1)
    phase = np.modf(_seconds(count) / period)[0] * period / 0.06
    frequency = _around(3600, rng) * (1 + 0.35 * phase)
    swell = np.where(phase < 1, np.sin(np.pi * phase), 0)
    return np.sin(2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE_HZ) * swell


def _noise(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    band = {"low": (60, 500), "high": (2500, 7500)}[variant]
    return signal.sosfilt(signal.butter(2, band, "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), rng.normal(size=count))


def _clicks(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    period = round({"slow": 0.16, "fast": 0.05}[variant] * rng.uniform(0.9, 1.1) * SAMPLE_RATE_HZ)
    samples = np.zeros(count)
    samples[::period] = rng.choice([-1, 1], len(samples[::period]))
    return signal.lfilter([1], [1, -0.6], samples)


def _bell(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Partials of a church bell, the higher the sooner gone."""
    lowest, time = _around({"low": 260, "high": 1100}[variant], rng), _seconds(count)
    partials = ((0.5, 0.6, 1.0), (1, 1, 1.5), (1.2, 0.7, 2), (1.5, 0.5, 3), (2, 0.9, 3.5), (2.74, 0.4, 6))
    return sum(strength * np.sin(2 * np.pi * lowest * ratio * time) * np.exp(-2 * decay * time)
               for ratio, strength, decay in partials)


def _beating(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    hz, beat = _around(700, rng), {"slow": 5, "fast": 16}[variant] * rng.uniform(0.9, 1.1)
    time = _seconds(count)
    return np.sin(2 * np.pi * hz * time) + np.sin(2 * np.pi * (hz + beat) * time)


def _engine(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Harmonics of the strokes, slowly wavering, with some noise."""
    strokes = _around({"low": 28, "high": 75}[variant], rng) * (1 + 0.03 * np.sin(2 * np.pi * 2.5 * _seconds(count)))
    phase = 2 * np.pi * np.cumsum(strokes) / SAMPLE_RATE_HZ
    return sum(np.sin(order * phase + order**2) / order**0.7 for order in range(1, 16)) + 0.3 * rng.normal(size=count)


def _knocks(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    period = {"slow": 0.3, "fast": 0.13}[variant] * rng.uniform(0.9, 1.1)
    since = np.modf(_seconds(count) / period)[0] * period
    return np.sin(2 * np.pi * _around(130, rng) * since) * np.exp(-45 * since)


def _siren(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    swing = np.sin(2 * np.pi * {"slow": 1.5, "fast": 5}[variant] * rng.uniform(0.9, 1.1) * _seconds(count))
    return np.sin(2 * np.pi * np.cumsum(_around(1000, rng) * (1 + 0.35 * swing)) / SAMPLE_RATE_HZ)


def _laser(variant: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """A fast sweep over and over, as toys have it."""
    phase = np.modf(_seconds(count) / 0.12 / rng.uniform(0.9, 1.1))[0]
    course = phase if variant == "rising" else 1 - phase
    return np.sin(2 * np.pi * np.cumsum(500 * 8**course) / SAMPLE_RATE_HZ)


KINDS = {
    "tone": Kind(_tone, _PITCH, ("tone", "beep", "pure tone")),
    "buzz": Kind(_buzz, _PITCH, ("buzz", "buzzer", "buzzing sound")),
    "sweep": Kind(_sweep, _SLOPE, ("sweep", "glide", "sliding tone")),
    "birds": Kind(_birds, _RATE, ("bird chirping", "chirping", "twitter")),
    "noise": Kind(_noise, {"low": ("low", "dull", "rumbling"), "high": ("high", "hissing", "sharp")},
                  ("burst of noise", "noise", "whoosh")),
    "clicks": Kind(_clicks, _RATE, ("clicking", "ticking", "rattle of clicks")),
    "bell": Kind(_bell, _PITCH, ("bell", "chime", "ringing bell")),
    "beating": Kind(_beating, _RATE, ("pulsating tone", "wobbling tone", "beating tone")),
    "engine": Kind(_engine, {"low": ("low", "deep", "idling"), "high": ("high", "revving", "racing")},
                   ("engine hum", "motor", "engine")),
    "knocks": Kind(_knocks, _RATE, ("knocking", "thumping", "drumming")),
    "siren": Kind(_siren, _RATE, ("siren", "alarm", "wailing siren")),
    "laser": Kind(_laser, _SLOPE, ("laser sound", "toy gun", "zapping")),
}


def background(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """What is heard all the time, at its own loudness: ``silence``, ``hiss``, ``wind``, ``rain`` or ``hum``."""
    if kind == "hum":
        time = _seconds(count)
        return 0.01 * (np.sin(2 * np.pi * 100 * time) + 0.5 * np.sin(2 * np.pi * 200 * time))
    white = rng.normal(size=count)
    if kind == "hiss":
        return 0.006 * white
    if kind == "wind":
        gusts = 1 + 0.7 * np.sin(2 * np.pi * rng.uniform(0.3, 0.6) * _seconds(count) + rng.uniform(0, 6))
        return 0.02 * gusts * signal.lfilter([0.05], [1, -0.95], white) * 3
    if kind == "rain":
        drops = white * (rng.random(count) < 0.004)
        band = signal.butter(2, (1500, 7000), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
        return 0.12 * signal.sosfilt(band, drops) + 0.002 * white
    return 0.0003 * white


def event_samples(event: Event, rng: np.random.Generator) -> np.ndarray:
    """``[sample]`` of one event, with its repetitions and the pauses between them."""
    count = round(rng.uniform(*LENGTH_S[event.length]) * SAMPLE_RATE_HZ)
    pause = np.zeros(round(rng.uniform(*_GAP_S) * SAMPLE_RATE_HZ))
    once = KINDS[event.kind].make(event.variant, count, rng)
    edge = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.01 * SAMPLE_RATE_HZ))
    once = once * edge
    once *= LOUDNESS[event.loudness] * rng.uniform(0.85, 1.15) / np.sqrt(np.mean(once**2))
    return np.concatenate([once, *[part for _ in range(event.times - 1) for part in (pause, once)]])


DURATION_S = 4.0
_VERSION = 1
"""Counts changes of what is heard."""
_TWO_EVENTS = 0.7
_TOLD = 0.75
"""Share of an event's properties, and of backgrounds, that a caption tells."""
_LOUDNESS = {"soft": ("soft", "quiet", "faint"), "loud": ("loud", "strong")}
_LENGTH = {"short": ("short", "brief"), "long": ("long", "sustained", "lasting")}
_TIMES = {2: ("twice", "two times", "heard twice"),
          3: ("three times", "repeated three times", "in three repetitions")}
_BACKGROUND = {
    "silence": ("in silence", "with nothing else to hear"),
    "hiss": ("over a faint hiss", "with static in the background"),
    "wind": ("in the wind", "with wind in the background"), "rain": ("in the rain", "with rain in the background"),
    "hum": ("over a mains hum", "with an electric hum in the background"),
}
_ORDER = ("{0}, then {1}", "{0} followed by {1}", "first {0} and then {1}", "{1} after {0}", "{0} before {1}")
_SCENES = ("{}", "{}", "there is {}", "you can hear {}", "the sound of {}")


@dataclass(frozen=True)
class Clip:
    """What is heard: events in their order, and what is behind them."""

    events: tuple[Event, ...]
    background: str


@register("retrieval_data", "sounds", requires=identities)
class Sounds(RetrievalData):
    """2,000 described sounds of 4 s: one or two events over a background, with three captions.

    Twelve kinds of events (tones, bells, engines, …), low or high, slow or fast, rising or falling, soft or loud, short
    or long, once or more often, over silence, hiss, wind, rain or hum; no two clips are alike in all that. Captions
    leave out some of it. Features are 100 log-mel frames of 64 bands. Splits 70/10/20 % by clip.

    :param num_clips: sounds, each an identity.
    :param captions_per_clip: of each.
    :param seed: of clips, captions and splits.
    """

    def __init__(self, num_clips: PositiveInt = 2000, captions_per_clip: PositiveInt = 3,
                 seed: NonNegativeInt = 0) -> None:
        self.num_clips, self.captions_per_clip, self.seed = num_clips, captions_per_clip, seed

    def load(self) -> RetrievalSet:
        """The set."""
        clips = draw_clips(self.num_clips, self.seed)
        features = cached_tensors(
            f"sounds-{_VERSION}/{self.num_clips}-{self.seed}.safetensors",
            lambda: {"features": torch.stack([log_mel(clip_samples(clip, stream_seed(self.seed, "sound", number)))
                                              for number, clip in enumerate(clips)])})["features"]
        captions = [(number, text) for number, clip in enumerate(clips) for text in self.captions(number, clip)]
        splits = built_in_splits(captions, torch.arange(len(clips)), features, self.seed)
        return RetrievalSet("sounds", "audio", *splits, {
            "name": "sounds", "version": _VERSION, "num_clips": self.num_clips,
            "captions_per_clip": self.captions_per_clip, "seed": self.seed})

    def captions(self, number: int, clip: Clip) -> list[str]:
        """Captions of one clip, each with words and order of its own."""
        rng = np.random.default_rng(stream_seed(self.seed, "told", number))
        return [caption(clip, rng) for _ in range(self.captions_per_clip)]


def draw_clips(count: int, seed: int) -> list[Clip]:
    """Clips, no two of them alike."""
    rng = np.random.default_rng(stream_seed(seed, "clips"))
    found: dict[Clip, None] = {}
    while len(found) < count:
        events = tuple(draw_event(rng) for _ in range(1 + (rng.random() < _TWO_EVENTS)))
        found.setdefault(Clip(events, pick(list(_BACKGROUND), rng)))
    return list(found)


def draw_event(rng: np.random.Generator) -> Event:
    """One event; long ones are heard once."""
    kind = pick(list(KINDS), rng)
    length = pick(list(LENGTH_S), rng)
    return Event(kind, pick(list(KINDS[kind].variants), rng), pick(list(LOUDNESS), rng), length,
                 int(rng.integers(1, 4)) if length == "short" else 1)


def clip_samples(clip: Clip, seed: int) -> torch.Tensor:
    """``[sample]`` float32 at 16 kHz; an event starts within a quarter of a second of its half of the clip."""
    rng = np.random.default_rng(seed)
    count = round(DURATION_S * SAMPLE_RATE_HZ)
    samples = background(clip.background, count, rng)
    for number, event in enumerate(clip.events):
        start = round((number * DURATION_S / 2 + rng.uniform(0.02, 0.25)) * SAMPLE_RATE_HZ)
        part = event_samples(event, rng)[:count - start]
        samples[start:start + len(part)] += part
    return torch.from_numpy(samples.astype(np.float32))


def caption(clip: Clip, rng: np.random.Generator) -> str:
    """One caption; it tells every event, but not all of its properties."""
    told = [_event_in_words(event, rng) for event in clip.events]
    text = told[0] if len(told) == 1 else pick(_ORDER, rng).format(*told)
    if rng.random() < _TOLD:
        text = f"{text} {pick(_BACKGROUND[clip.background], rng)}"
    return pick(_SCENES, rng).format(text)


def _event_in_words(event: Event, rng: np.random.Generator) -> str:
    kind = KINDS[event.kind]
    words = [ways for ways in (_LOUDNESS[event.loudness], _LENGTH[event.length], kind.variants[event.variant])
             if rng.random() < _TOLD]
    phrase = " ".join([*(pick(ways, rng) for ways in words), pick(kind.nouns, rng)])
    article = "an" if phrase[0] in "aeiou" else "a"
    times = f" {pick(_TIMES[event.times], rng)}" if event.times > 1 and rng.random() < _TOLD else ""
    return f"{article} {phrase}{times}"
