"""Described motions of a figure of 15 joints: one to three actions in a row, told in a small grammar with synonyms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from linksim.core.cache import cached_tensors
from linksim.core.registry import register
from linksim.core.seeding import stream_seed
from linksim.core.types import NonNegativeInt, PositiveInt
from linksim.retrieval.actions import ACTIONS, FRAME_RATE_HZ, Body, Doing, Tracks, joined, motion_features
from linksim.retrieval.data import RetrievalData, RetrievalSet, built_in_splits, pick
from linksim.retrieval.requirements import identities

NUM_FRAMES = 6 * FRAME_RATE_HZ
_VERSION = 1
"""Counts changes of what is seen."""
_SECONDS = {1: (4.0, 5.0), 2: (2.2, 2.8), 3: (1.7, 1.9)}
"""Seconds of each action, by how many there are."""
_COUNTS = (1, 2, 2, 2, 2, 2, 3, 3, 3, 3)
_TOLD = 0.8
"""Share of an action's manners that a caption tells."""
_SUBJECTS = ("a person", "someone", "the person", "a figure", "a man", "a woman")
_ORDER = (", then ", " and then ", ", after that ", " and afterwards ")


@register("retrieval_data", "motions", requires=identities)
class Motions(RetrievalData):
    """2,000 described motions of a figure of 15 joints, 4 to 6 s at 20 frames a second, with three captions.

    One to three of eleven actions in a row (walk, run, turn, jump, wave, …), slow or fast, left or right, forward or
    backward, once or more often; no two motions are alike in all that, and bodies, speeds and extents vary. Captions
    leave out some of it. Features, 120 frames of 46: joints about the pelvis in the body's axes, its height and
    velocity, and the rate of turning; a motion that is over stands still. Splits 70/10/20 % by motion.

    :param num_motions: motions, each an identity.
    :param captions_per_motion: of each.
    :param seed: of motions, captions and splits.
    """

    def __init__(self, num_motions: PositiveInt = 2000, captions_per_motion: PositiveInt = 3,
                 seed: NonNegativeInt = 0) -> None:
        self.num_motions, self.captions_per_motion, self.seed = num_motions, captions_per_motion, seed

    def load(self) -> RetrievalSet:
        """The set."""
        motions = draw_motions(self.num_motions, self.seed)
        features = cached_tensors(
            f"motions-{_VERSION}/{self.num_motions}-{self.seed}.safetensors",
            lambda: {"features": torch.stack([perform(motion, stream_seed(self.seed, "motion", number))
                                              for number, motion in enumerate(motions)])})["features"]
        captions = [(number, text) for number, motion in enumerate(motions) for text in self.captions(number, motion)]
        splits = built_in_splits(captions, torch.arange(len(motions)), features, self.seed)
        return RetrievalSet("motions", "motion", *splits, {
            "name": "motions", "version": _VERSION, "num_motions": self.num_motions,
            "captions_per_motion": self.captions_per_motion, "seed": self.seed})

    def captions(self, number: int, motion: tuple[Doing, ...]) -> list[str]:
        """Captions of one motion, each with words of its own."""
        rng = np.random.default_rng(stream_seed(self.seed, "told", number))
        return [caption(motion, rng) for _ in range(self.captions_per_motion)]


def draw_motions(count: int, seed: int) -> list[tuple[Doing, ...]]:
    """Motions, no two of them alike, and no action twice in a row in one of them."""
    rng = np.random.default_rng(stream_seed(seed, "motions"))
    found: dict[tuple[Doing, ...], None] = {}
    while len(found) < count:
        motion = tuple(draw_doing(rng) for _ in range(pick(_COUNTS, rng)))
        if all(one.action != next_one.action for one, next_one in pairwise(motion)):
            found.setdefault(motion)
    return list(found)


def draw_doing(rng: np.random.Generator) -> Doing:
    """One action with its manners."""
    action = pick(list(ACTIONS), rng)
    return Doing(action, tuple(pick(list(choices), rng) for choices in ACTIONS[action].manners))


def perform(motion: tuple[Doing, ...], seed: int) -> torch.Tensor:
    """``[frame, 46]`` float32 of one motion; body, timing and extents follow from the seed."""
    rng = np.random.default_rng(seed)
    body = Body().scaled(rng.uniform(0.88, 1.12))
    parts = []
    for doing in motion:
        part = Tracks(round(rng.uniform(*_SECONDS[len(motion)]) * FRAME_RATE_HZ))
        ACTIONS[doing.action].move(part, doing.manners, rng)
        parts.append(part)
    return torch.from_numpy(motion_features(joined(parts, NUM_FRAMES), body))


def caption(motion: tuple[Doing, ...], rng: np.random.Generator) -> str:
    """One caption; it tells every action, but not all of its manners."""
    told = [_in_words(doing, rng) for doing in motion]
    return f"{pick(_SUBJECTS, rng)} {told[0]}{''.join(pick(_ORDER, rng) + part for part in told[1:])}"


def _in_words(doing: Doing, rng: np.random.Generator) -> str:
    action = ACTIONS[doing.action]
    manners = [pick(choices[manner], rng) for manner, choices in zip(doing.manners, action.manners)
               if rng.random() < _TOLD]
    return " ".join(part for part in (pick(action.verbs, rng), *manners) if part)
