"""Drawn persons: several pictures of each, and captions that tell some of what is the same in all of them.

The stand-in for person retrieval: captions speak of hair, hats, clothes, glasses and beards, never of pose,
expression or background, and seldom of everything, so that they may fit more than one person.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch

from linksim.core.packages import import_optional, installed_versions, package_folder
from linksim.core.registry import register
from linksim.core.seeding import stream_seed
from linksim.core.types import NonNegativeInt, PositiveInt
from linksim.retrieval.avatar_styles import STYLES, Style
from linksim.retrieval.data import RetrievalData, RetrievalSet, built_in_splits, listed, pick
from linksim.retrieval.pictures import SIZE, encoder_versions, picture_features, svg_picture
from linksim.retrieval.requirements import identities

_PACKAGES = ("dicebear-core", "dicebear-styles", "resvg-py")
_VERSION = 1
"""Counts changes of the tables and of what is drawn."""
_TOLD = 0.75
"""Share of a person's parts that a caption tells."""
_SUBJECTS = ("a person", "someone", "the person", "this person", "somebody")
_VARYING = {
    "flip": ["none", "horizontal"], "rotate": [-12, 12], "scale": [0.8, 1.05], "translateX": [-6, 6],
    "translateY": [-4, 4], "backgroundColor": ["#ffffff", "#e8eef4", "#f6ead8", "#dff0e0", "#d9d9d9", "#f3dfe6"],
}


@dataclass(frozen=True)
class Person:
    """One identity.

    :param options: of dicebear, the same in all pictures.
    :param has: ways to say what the person has, part by part.
    :param wears: the same of what is worn.
    """

    style: Style
    options: dict[str, Any]
    has: tuple[tuple[str, ...], ...] = field(default=())
    wears: tuple[tuple[str, ...], ...] = field(default=())


@register("retrieval_data", "avatars", requires=identities)
class Avatars(RetrievalData):
    """800 drawn persons, three pictures and four captions of each: the stand-in for person retrieval.

    Pictures of a person differ in pose, size, place, background and expression. Splits 70/10/20 % by person. Styles of
    dicebear: avataaars (free for personal and commercial use), micah (CC BY 4.0), open-peeps (CC0).

    :param num_identities: persons.
    :param pictures_per_identity: of each.
    :param captions_per_identity: of each.
    :param seed: of persons, pictures, captions and splits.
    """

    def __init__(self, num_identities: PositiveInt = 800, pictures_per_identity: PositiveInt = 3,
                 captions_per_identity: PositiveInt = 4, seed: NonNegativeInt = 0) -> None:
        self.num_identities, self.seed = num_identities, seed
        self.pictures_per_identity, self.captions_per_identity = pictures_per_identity, captions_per_identity

    def load(self) -> RetrievalSet:
        """The set.

        :raises LinksimError: a package is not installed.
        """
        installed = installed_versions(*_PACKAGES)
        people, each = draw_people(self.num_identities, self.seed), self.pictures_per_identity
        features = picture_features(
            ["avatars", _VERSION, installed, self.num_identities, each, self.seed], self.num_identities * each,
            lambda number: draw_picture(people[number // each], stream_seed(self.seed, "picture", number)))
        captions = [(identity, text) for identity, person in enumerate(people) for text in self.captions(person)]
        identities = torch.arange(self.num_identities).repeat_interleave(each)
        splits = built_in_splits(captions, identities, features[:, None], self.seed)
        return RetrievalSet("avatars", "image", *splits, {
            "name": "avatars", "version": _VERSION, "num_identities": self.num_identities,
            "pictures_per_identity": each, "captions_per_identity": self.captions_per_identity, "seed": self.seed,
            "packages": {**installed, **encoder_versions()}})

    def captions(self, person: Person) -> list[str]:
        """Captions of one person, each with parts, words and order of its own."""
        rng = np.random.default_rng(stream_seed(self.seed, "caption", person.style.name, person.options))
        return [caption(person, rng) for _ in range(self.captions_per_identity)]


def draw_people(count: int, seed: int) -> list[Person]:
    """Persons, no two of them alike."""
    rng = np.random.default_rng(stream_seed(seed, "people"))
    found: dict[str, Person] = {}
    while len(found) < count:
        person = draw_person(pick(STYLES, rng), rng)
        found.setdefault(json.dumps([person.style.name, person.options], sort_keys=True), person)
    return list(found.values())


def draw_person(style: Style, rng: np.random.Generator) -> Person:
    """One person: a variant of each part, a colour for each name."""
    options: dict[str, Any] = {}
    spoken = {}
    for names, colors in style.colors.items():
        color = pick(list(colors), rng)
        options |= {f"{name}Color": color for name in names}
        spoken |= {name: colors[color] for name in names}
    has, wears = [], []
    for part in style.parts:
        worn = rng.random() < part.share
        options |= {f"{part.component[0]}Probability": 100 * worn} if part.component and part.share < 1 else {}
        if worn:
            ways = {**part.has, **part.wears}
            variant = pick(list(ways), rng)
            options |= {f"{name}Variant": one for name, one in zip(part.component, variant.split("/"))}
            told = tuple(way.format(**{name: color}) if name else way for way in ways[variant]
                         for name, color in _colors_in(way, spoken))
            (has if variant in part.has else wears).append(told)
    return Person(style, options, tuple(has), tuple(wears))


def draw_picture(person: Person, seed: int) -> np.ndarray:
    """One picture of a person, uint8 ``[224, 224, 3]``; what the options leave open follows from the seed.

    :raises LinksimError: a package is not installed.
    """
    options = {**_VARYING, **person.options, "seed": str(seed), "size": SIZE}
    svg = import_optional("dicebear", "dicebear-core").Avatar(_drawing(person.style.name), options)
    return svg_picture(svg.to_string())


def caption(person: Person, rng: np.random.Generator) -> str:
    """One caption; of a person with several parts it tells at least two."""
    parts = [("has", ways) for ways in person.has] + [("wears", ways) for ways in person.wears]
    while sum(told := rng.random(len(parts)) < _TOLD) < min(2, len(parts)):
        pass
    said: dict[str, list[str]] = {"has": [], "wears": []}
    for index in rng.permutation(np.flatnonzero(told)):
        verb, ways = parts[index]
        said[verb].append(pick(ways, rng))
    has, wears = listed(said["has"]), listed(said["wears"])
    subject = pick(_SUBJECTS, rng)
    if not has or not wears:
        return f"{subject} with {has or wears}" if rng.random() < 0.5 or not wears else f"{subject} wearing {wears}"
    return pick((f"{subject} with {has} wearing {wears}", f"{subject} in {wears} with {has}",
                 f"{subject} wears {wears} and has {has}", f"{has}, {wears}"), rng)


def _colors_in(way: str, spoken: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """The colour that a text names, with each of its words; an empty name where it names none."""
    return next(([(name, word) for word in words] for name, words in spoken.items() if f"{{{name}}}" in way),
                [("", "")])


@cache
def _drawing(style: str) -> Any:
    drawing = (package_folder("dicebear-styles") / f"{style}.json").read_text(encoding="utf-8")
    return import_optional("dicebear", "dicebear-core").Style(json.loads(drawing))
