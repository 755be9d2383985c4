"""Described sounds, made of formulas: one or two events over a background, told in a small grammar with synonyms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from linksim.core.cache import cached_tensors
from linksim.core.registry import register
from linksim.core.seeding import stream_seed
from linksim.core.types import NonNegativeInt, PositiveInt
from linksim.retrieval.data import RetrievalData, RetrievalSet, built_in_splits
from linksim.retrieval.log_mel import SAMPLE_RATE_HZ, log_mel
from linksim.retrieval.requirements import identities
from linksim.retrieval.sound_events import KINDS, LENGTH_S, LOUDNESS, Event, background, event_samples
from linksim.retrieval.words import pick

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
