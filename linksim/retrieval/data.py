"""What retrieval works on: captions, galleries, and splits in which no identity is shared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from linksim.core.errors import ScenarioError
from linksim.core.seeding import stream_seed
from linksim.scenario.resolved import read_block

MAX_CAPTION_WORDS = 128
"""The longest caption taken; the longest one of CUHK-PEDES has 96 words."""

MODALITIES = ("image", "audio", "motion")


@dataclass(frozen=True)
class Split:
    """A gallery of items, and captions that ask for them. An item is relevant to captions of the same identity.

    :param captions: texts.
    :param caption_identities: ``[caption]`` int64, who is asked for.
    :param item_identities: ``[item]`` int64.
    :param features: ``[item, frame, feature]`` float32, what an item's encoder sees; a picture is one frame.
    """

    captions: tuple[str, ...]
    caption_identities: torch.Tensor
    item_identities: torch.Tensor
    features: torch.Tensor


@dataclass(frozen=True)
class RetrievalSet:
    """A data set in three splits, checked when it is made.

    :param identity: what the content depends on, as JSON holds it: name, options, versions of packages, digest of
        files.
    :raises ScenarioError: an empty or over-long caption, one without an item in its gallery, an identity in two
        splits, features that are not finite.
    """

    name: str
    modality: Literal["image", "audio", "motion"]
    train: Split
    validation: Split
    test: Split
    identity: dict[str, Any]

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ScenarioError(f"{self.name}: modality {self.modality!r} must be one of {', '.join(MODALITIES)}")
        for name, split in self.splits.items():
            _check_split(f"{self.name}, {name} split", split)
        for (one, first), (other, second) in combinations(self.splits.items(), 2):
            shared = _identities(first) & _identities(second)
            if shared:
                raise ScenarioError(f"{self.name}: identity {min(shared)} is in the {one} and in the {other} split "
                                    f"({len(shared)} such in all): split by identity, not by caption")

    @property
    def splits(self) -> dict[str, Split]:
        """By name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


class RetrievalData(ABC):
    """A data set by name and options; a class of this kind is registered as ``retrieval_data``."""

    @abstractmethod
    def load(self) -> RetrievalSet:
        """The set, from the cache where its features are kept.

        :raises LinksimError: a package or file is missing, or a file is not what it should be.
        """


def retrieval_set(reference: str | dict[str, Any]) -> RetrievalSet:
    """The data set of a name, or of ``{type: name, option: …}``.

    :raises ScenarioError: unknown name or option, or a fault in the data.
    """
    return read_block("semantic.data", "retrieval_data", reference).create().load()


def split_identities(identities: Iterable[int], shares: Sequence[float], seed: int) -> tuple[list[int], ...]:
    """Identities dealt out at random; the same whatever their order, and nearly so when there are a few more.

    :param shares: of each part, together 1.
    :raises ScenarioError: shares that do not add up, or a part with a share that would be empty.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ScenarioError(f"shares of splits {list(shares)} must be at least 0 and add up to 1")
    shuffled = sorted(set(identities), key=lambda identity: stream_seed(seed, "split", identity))
    ends = [round(len(shuffled) * sum(shares[:count])) for count in range(len(shares) + 1)]
    parts = tuple(sorted(shuffled[start:end]) for start, end in pairwise(ends))
    if any(share and not part for share, part in zip(shares, parts)):
        raise ScenarioError(f"{len(shuffled)} identities are too few for splits of {list(shares)}")
    return parts


BUILT_IN_SHARES = (0.7, 0.1, 0.2)
"""Shares of the identities of a built-in set, for training, validation and test."""


def built_in_splits(captions: Iterable[tuple[int, str]], item_identities: torch.Tensor, features: torch.Tensor,
                    seed: int) -> tuple[Split, Split, Split]:
    """Training, validation and test split of a set without official ones, by identity.

    :param captions: identity and text of each.
    :param item_identities: ``[item]`` int64, numbered from 0 without gaps.
    :param features: ``[item, frame, feature]``.
    :param seed: of the split.
    :raises ScenarioError: too few identities.
    """
    captions = list(captions)
    parts = split_identities(range(int(item_identities.max()) + 1), BUILT_IN_SHARES, seed)
    train, validation, test = (split_of(part, captions, item_identities, features) for part in parts)
    return train, validation, test


def split_of(identities: Iterable[int], captions: Iterable[tuple[int, str]], item_identities: torch.Tensor,
             features: torch.Tensor) -> Split:
    """The part of a data set that belongs to some identities.

    :param captions: identity and text of each.
    :param item_identities: ``[item]`` int64.
    :param features: ``[item, frame, feature]``.
    """
    wanted = set(identities)
    asked = [(identity, text) for identity, text in captions if identity in wanted]
    items = torch.tensor([identity in wanted for identity in item_identities.tolist()], dtype=torch.bool)
    return Split(tuple(text for _, text in asked), torch.tensor([identity for identity, _ in asked], dtype=torch.int64),
                 item_identities[items], features[items])


def _identities(split: Split) -> set[int]:
    return set(split.item_identities.tolist()) | set(split.caption_identities.tolist())


def _check_split(where: str, split: Split) -> None:
    items, captions = len(split.item_identities), len(split.captions)
    if not items or not captions:
        raise ScenarioError(f"{where}: {captions} captions and {items} items: at least one of each is needed")
    if split.features.ndim != 3 or len(split.features) != items:
        raise ScenarioError(f"{where}: features have shape {list(split.features.shape)}, but [item, frame, feature] "
                            f"with {items} items is needed")
    if len(split.caption_identities) != captions:
        raise ScenarioError(f"{where}: {captions} captions but {len(split.caption_identities)} identities for them")
    for number, text in enumerate(split.captions):
        words = len(text.split())
        if not words:
            raise ScenarioError(f"{where}: caption {number} is empty")
        if words > MAX_CAPTION_WORDS:
            raise ScenarioError(f"{where}: caption {number} has {words} words, at most {MAX_CAPTION_WORDS} are taken: "
                                f"'{text[:40]}…'")
    without = ~torch.isin(split.caption_identities, split.item_identities)
    if without.any():
        number = int(without.nonzero()[0])
        raise ScenarioError(f"{where}: caption {number} asks for identity {int(split.caption_identities[number])}, "
                            f"which has no item in the gallery ({int(without.sum())} such captions)")
    finite = split.features.isfinite().flatten(1).all(1)
    if not finite.all():
        raise ScenarioError(f"{where}: features of item {int((~finite).nonzero()[0])} are not finite "
                            f"({int((~finite).sum())} such items)")


T = TypeVar("T")


def pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    """One of some choices, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
