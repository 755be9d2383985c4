"""Drawn persons: several pictures of each, and captions that tell some of what is the same in all of them.

The stand-in for person retrieval: captions speak of hair, hats, clothes, glasses and beards, never of pose,
expression or background, and seldom of everything, so that they may fit more than one person.

What the avatars' drawings are called in words: tables, written by looking at each part of three dicebear styles.

A text may name colours of the style in braces, as in ``a {hat} hat``. Parts that are left out are not drawn for
identities, or vary from picture to picture (eyes, eyebrows, mouths), since no caption speaks of them.
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
from linksim.retrieval.data import RetrievalData, RetrievalSet, built_in_splits, listed, pick
from linksim.retrieval.pictures import SIZE, encoder_versions, picture_features, svg_picture
from linksim.retrieval.requirements import identities

Words = dict[str, tuple[str, ...]]
"""Ways to say it, by variant (``component/second component`` where it takes two) or by colour code."""


@dataclass(frozen=True)
class Part:
    """One component of an avatar.

    :param component: dicebear's names of it, two where variants are pairs.
    :param has: what a person has (hair, beards), by variant.
    :param wears: what a person wears.
    :param share: of persons who have it at all.
    """

    component: tuple[str, ...]
    has: Words = field(default_factory=dict)
    wears: Words = field(default_factory=dict)
    share: float = 1.0


@dataclass(frozen=True)
class Style:
    """One way to draw persons.

    :param parts: that captions speak of, all fixed by identity.
    :param colors: by dicebear's name; those in one tuple are the same on each person.
    :param absent: components that nobody has.
    """

    name: str
    parts: tuple[Part, ...]
    colors: dict[tuple[str, ...], Words]
    absent: tuple[str, ...] = ()


_NATURAL_HAIR: Words = {
    "#2c1b18": ("black",), "#4a312c": ("dark brown",), "#a55728": ("reddish brown", "auburn"),
    "#d6b370": ("blond", "light blond"), "#c93305": ("red", "ginger"), "#e8e1e1": ("grey", "silver"),
    "#f59797": ("pink",),
}

AVATAAARS = Style("avataaars", (
    Part(("top",), has={
        "bigHair": ("very long wavy {hair} hair", "big wavy {hair} hair"), "bob": ("a {hair} bob",),
        "bun": ("{hair} hair in a bun", "a {hair} topknot"), "curly": ("thick curly {hair} hair",),
        "curvy": ("long {hair} curls", "long curly {hair} hair"),
        "dreads": ("long {hair} dreadlocks",), "dreads01": ("short {hair} dreadlocks", "short frizzy {hair} hair"),
        "dreads02": ("spiky {hair} hair", "{hair} hair sticking out on all sides"),
        "frida": ("flowers in the hair", "a wreath of flowers in {hair} hair"),
        "frizzle": ("a {hair} tuft of hair on a shaved head",), "fro": ("a {hair} afro", "a big {hair} afro"),
        "froBand": ("a {hair} afro with a headband",),
        "longButNotTooLong": ("{hair} hair down to the shoulders", "shoulder-length {hair} hair"),
        "miaWallace": ("a {hair} bob with bangs", "chin-length {hair} hair with a fringe"),
        "shaggy": ("shaggy {hair} hair", "messy {hair} hair"), "shaggyMullet": ("a {hair} mullet",),
        "shavedSides": ("long {hair} hair shaved on one side",),
        "shortCurly": ("short curly {hair} hair",), "shortFlat": ("short {hair} hair",),
        "shortRound": ("short round {hair} hair",), "shortWaved": ("short wavy {hair} hair",),
        "sides": ("a bald head with {hair} hair at the sides", "a bald top"),
        "straight01": ("long straight {hair} hair",), "straight02": ("long {hair} hair to one side",),
        "theCaesar": ("very short {hair} hair", "{hair} hair in a buzz cut"),
    }, wears={
        "hat": ("a {hat} hat with a wide brim", "a wide {hat} hat"), "hijab": ("a {hat} hijab", "a {hat} headscarf"),
        "turban": ("a {hat} turban",), "winterHat02": ("a patterned {hat} winter hat with strings",),
        "winterHat03": ("a {hat} and white beanie", "a {hat} winter hat"),
        "winterHat04": ("a {hat} winter hat with cat ears",), "winterHat1": ("a {hat} winter hat with ear flaps",),
    }),
    Part(("clothes", "clothesGraphic"), wears={
        "blazerAndShirt": ("a {clothes} blazer over a white shirt", "a {clothes} jacket"),
        "collarAndSweater": ("a {clothes} sweater with a collar", "a {clothes} pullover over a shirt"),
        "hoodie": ("a {clothes} hoodie", "a {clothes} hooded sweatshirt"),
        "overall": ("{clothes} overalls", "{clothes} dungarees"),
        "shirtCrewNeck": ("a {clothes} T-shirt", "a plain {clothes} shirt"),
        "shirtScoopNeck": ("a {clothes} top with a wide neckline",),
        "shirtVNeck": ("a {clothes} shirt with a V-neck",),
        "graphicShirt/bat": ("a {clothes} T-shirt with a bat on it",),
        "graphicShirt/bear": ("a {clothes} T-shirt with a bear on it",),
        "graphicShirt/diamond": ("a {clothes} T-shirt with a diamond on it",),
        "graphicShirt/pizza": ("a {clothes} T-shirt with a slice of pizza on it",),
        "graphicShirt/skull": ("a {clothes} T-shirt with a skull on it",),
        "graphicShirt/resist": ("a {clothes} T-shirt with white letters",),
    }),
    Part(("facialHair",), has={
        "beardLight": ("a short {hair} beard", "a trimmed {hair} beard"),
        "beardMajestic": ("a long {hair} beard", "a big {hair} beard"), "beardMedium": ("a {hair} beard",),
        "moustacheFancy": ("a thin {hair} moustache",), "moustacheMagnum": ("a {hair} moustache",),
    }, share=0.35),
    Part(("accessories",), wears={
        "eyepatch": ("an eyepatch",), "kurt": ("large {accessories} sunglasses",),
        "prescription01": ("{accessories} glasses",), "round": ("round {accessories} glasses",),
        "sunglasses": ("sunglasses", "{accessories} sunglasses"),
    }, share=0.5),
), {
    ("hair", "facialHair"): _NATURAL_HAIR,
    ("hat",): {"#ff5c5c": ("red",), "#5199e4": ("blue",), "#262e33": ("black",), "#a7ffc4": ("light green", "mint"),
               "#ffffb1": ("light yellow", "pale yellow"), "#ff488e": ("pink",), "#929598": ("grey",)},
    ("clothes",): {"#ff5c5c": ("red",), "#5199e4": ("blue",), "#25557c": ("dark blue", "navy"),
                   "#262e33": ("black",), "#a7ffc4": ("light green", "mint"), "#ffffb1": ("light yellow", "cream"),
                   "#ff488e": ("pink", "bright pink"), "#929598": ("grey",), "#b1e2ff": ("light blue",)},
    ("accessories",): {"#262e33": ("black", "dark"), "#ff5c5c": ("red",), "#5199e4": ("blue",)},
    ("skin",): {tone: () for tone in ("#614335", "#ae5d29", "#d08b5b", "#edb98a", "#ffdbb4")},
})

MICAH = Style("micah", (
    Part(("hair",), has={
        "dannyPhantom": ("{hair} hair over the forehead", "{hair} hair with side bangs"),
        "dougFunny": ("a bald head with a few {hair} hairs",), "fonze": ("short {hair} hair combed back",),
        "full": ("long wavy {hair} hair", "very long {hair} hair"), "mrClean": ("a bald head", "no hair"),
        "mrT": ("a {hair} mohawk",), "pixie": ("{hair} hair in a short bob", "a short {hair} bob"),
    }, wears={"turban": ("a {hair} turban",)}),
    Part(("clothes",), wears={
        "collared": ("a {shirt} shirt with a collar", "a {shirt} shirt"),
        "crew": ("a {shirt} sweater", "a {shirt} T-shirt with a white collar"),
        "open": ("a {shirt} top with an open neck", "a {shirt} top"),
    }),
    Part(("facialHair",), has={"beard": ("a black beard", "a full beard"), "scruff": ("stubble", "an unshaven chin")},
         share=0.35),
    Part(("glasses",), wears={"round": ("round {glasses} glasses", "round glasses"),
                              "square": ("square {glasses} glasses", "square glasses")}, share=0.4),
    Part(("earrings",), wears={"hoop": ("a hoop earring", "a {earring} hoop earring"), "stud": ("an ear stud",)},
         share=0.3),
), {
    ("hair",): {"#000000": ("black",), "#77311d": ("dark brown", "brown"), "#f4d150": ("yellow", "bright blond"),
                "#9287ff": ("purple", "violet"), "#fc909f": ("pink",), "#6bd9e9": ("light blue", "turquoise"),
                "#ffffff": ("white",)},
    ("shirt",): {"#000000": ("black",), "#77311d": ("brown",), "#f4d150": ("yellow",), "#9287ff": ("purple", "violet"),
                 "#fc909f": ("pink",), "#6bd9e9": ("light blue", "turquoise"), "#ffffff": ("white",)},
    ("glasses",): {"#000000": ("black",), "#9287ff": ("purple",), "#f4d150": ("yellow",)},
    ("earring",): {"#f4d150": ("golden",), "#6bd9e9": ("blue",)},
    ("base",): {tone: () for tone in ("#f9c9b6", "#ac6651", "#77311d")},
})

OPEN_PEEPS = Style("open-peeps", (
    Part(("head",), has={
        "afro": ("a black afro",), "bangs": ("{headContrast} hair of medium length with bangs",),
        "bangs2": ("a black bob with bangs", "straight black hair with a fringe"),
        "bantuKnots": ("black hair in small knots",), "buns": ("black hair in several buns",),
        "bun2": ("black hair tied up with a band",), "cornrows": ("{headContrast} braids",),
        "dreads1": ("black dreadlocks",), "flatTopLong": ("a tall black flat top", "black hair cut flat"),
        "grayBun": ("{headContrast} hair in a bun",), "grayShort": ("short {headContrast} hair",),
        "long": ("long black hair",), "longAfro": ("a huge black afro",),
        "longCurly": ("long curly black hair",), "medium1": ("chin-length black hair",),
        "mohawk": ("a {headContrast} mohawk",), "noHair1": ("a shaved head", "a bald head"),
        "noHair3": ("a bald head with {headContrast} hair at the back",), "pomp": ("black hair combed up high",),
        "shaved3": ("messy black hair", "wild black hair"), "short1": ("short black hair",),
        "short4": ("{headContrast} hair combed back",), "twists2": ("short black twists",),
    }, wears={
        "hatBeanie": ("a {clothing} beanie", "a {clothing} knitted cap"),
        "hatHip": ("a black hat with a brim", "a black hat"), "hijab": ("a black hijab", "a black headscarf"),
        "turban": ("a {clothing} turban",),
    }),
    Part((), wears={"": ("a {clothing} T-shirt", "a {clothing} shirt", "a {clothing} top")}),
    Part(("facialHair",), has={
        "chin": ("a thin black beard along the jaw",), "full": ("a black beard",), "full3": ("a long black beard",),
        "full4": ("a {headContrast} beard",), "goatee2": ("a black goatee",),
        "moustache2": ("a black moustache", "a drooping moustache"), "moustache3": ("a big curled moustache",),
    }, share=0.35),
    Part(("accessories",), wears={
        "eyepatch": ("an eyepatch",), "glasses": ("thin glasses", "glasses"), "glasses3": ("black glasses", "glasses"),
        "glasses4": ("white glasses",), "sunglasses": ("sunglasses", "dark glasses"),
    }, share=0.45),
    Part(("mask",), wears={"medicalMask": ("a medical mask", "a face mask")}, share=0.1),
), {
    ("clothing",): {"#8fa7df": ("blue",), "#78e185": ("green",), "#ffcf77": ("orange", "light orange"),
                    "#e279c7": ("pink", "magenta"), "#e78276": ("red", "light red"), "#fdea6b": ("yellow",)},
    ("headContrast",): {**_NATURAL_HAIR, "#d6b370": ("blond",)},
    ("skin",): {tone: () for tone in ("#ffdbb4", "#edb98a", "#d08b5b", "#ae5d29", "#694d3d")},
})

STYLES = (AVATAAARS, AVATAAARS, MICAH, OPEN_PEEPS)
"""Drawn from with equal shares."""


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
