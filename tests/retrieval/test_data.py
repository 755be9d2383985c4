"""Faults in a data set are refused in one line; splits are by identity and follow from the seed alone. What grammars of
captions share.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import linksim
from linksim.core import registry
from linksim.core.errors import ScenarioError
from linksim.retrieval.data import (
    MAX_CAPTION_WORDS,
    RetrievalData,
    RetrievalSet,
    Split,
    listed,
    retrieval_set,
    split_identities,
    split_of,
)


def split(*identities, captions=None):
    """One item and one caption of each identity."""
    numbers = torch.tensor(identities)
    texts = captions or tuple(f"item {number}" for number in identities)
    return Split(texts, numbers, numbers, torch.ones(len(identities), 1, 2))


def checked(test=None, train=None):
    return RetrievalSet("toy", "image", train or split(0, 1), split(2), test or split(3, 4), {"name": "toy"})


def test_a_sound_set_is_taken():
    assert list(checked().splits) == ["train", "validation", "test"]


@pytest.mark.parametrize(("test", "words"), [
    (split(3, 4, captions=("a cat", "  ")), r"toy, test split: caption 1 is empty"),
    (split(3, 4, captions=("word " * (MAX_CAPTION_WORDS + 1), "b")), r"caption 0 has 129 words, at most 128"),
    (replace(split(3, 4), caption_identities=torch.tensor([3, 9])), r"caption 1 asks for identity 9, which has no"),
    (replace(split(3, 4), caption_identities=torch.tensor([3])), r"2 captions but 1 identities"),
    (replace(split(3, 4), features=torch.tensor([[[1.0]], [[torch.nan]]])), r"features of item 1 are not finite"),
    (replace(split(3, 4), features=torch.ones(2, 5)), r"shape \[2, 5\], but \[item, frame, feature\]"),
    (split(3, 1), r"identity 1 is in the train and in the test split"),
    (Split((), torch.zeros(0), torch.zeros(0), torch.zeros(0, 1, 1)), r"0 captions and 0 items"),
])
def test_a_fault_is_one_line_with_its_place(test, words):
    with pytest.raises(ScenarioError, match=words) as caught:
        checked(test)
    assert "\n" not in str(caught.value)


def test_the_longest_caption_allowed_is_taken():
    checked(split(3, 4, captions=("word " * MAX_CAPTION_WORDS, "b")))


def test_splits_of_identities_are_a_partition_in_the_shares_asked_for():
    parts = split_identities(range(200), (0.7, 0.1, 0.2), 0)
    assert [len(part) for part in parts] == [140, 20, 40]
    assert sorted(identity for part in parts for identity in part) == list(range(200))


def test_splits_do_not_depend_on_the_order_and_hardly_on_a_newcomer():
    parts = split_identities(range(200), (0.7, 0.1, 0.2), 0)
    assert split_identities(reversed(range(200)), (0.7, 0.1, 0.2), 0) == parts
    assert split_identities(range(200), (0.7, 0.1, 0.2), 1) != parts
    moved = [len(set(one) - set(other)) for one, other in zip(parts, split_identities(range(201), (0.7, 0.1, 0.2), 0))]
    assert sum(moved) <= 2


@pytest.mark.parametrize(("shares", "words"), [((0.7, 0.1), "add up to 1"), ((1.2, -0.2), "add up to 1"),
                                               ((0.98, 0.02), "too few")])
def test_shares_that_cannot_be_met_are_refused(shares, words):
    with pytest.raises(ScenarioError, match=words):
        split_identities(range(10), shares, 0)


def test_a_split_takes_the_captions_and_items_of_its_identities():
    items = torch.tensor([0, 0, 1, 2])
    part = split_of([0, 2], [(0, "a"), (1, "b"), (2, "c"), (0, "d")], items, torch.arange(4.0).reshape(4, 1, 1))
    assert part.captions == ("a", "c", "d")
    assert part.caption_identities.tolist() == [0, 2, 0]
    assert part.features.flatten().tolist() == [0, 1, 3]


def test_a_plug_in_is_loaded_by_name_and_options():
    @linksim.register("retrieval_data", "toy_set")
    class Toy(RetrievalData):
        """Three identities."""

        def __init__(self, modality: str = "image") -> None:
            self.modality = modality

        def load(self):
            return RetrievalSet("toy", self.modality, split(0), split(1), split(2), {})

    try:
        assert retrieval_set("toy_set").modality == "image"
        assert retrieval_set({"type": "toy_set", "modality": "audio"}).modality == "audio"
        with pytest.raises(ScenarioError, match="must be one of image, audio, motion"):
            retrieval_set({"type": "toy_set", "modality": "smell"})
        with pytest.raises(ScenarioError, match="did you mean 'modality'"):
            retrieval_set({"type": "toy_set", "modalty": "audio"})
        with pytest.raises(ScenarioError, match="written as its name or as"):
            retrieval_set({"modality": "audio"})
    finally:
        del registry._registered["retrieval_data", "toy_set"]


@pytest.mark.parametrize(("words", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_lists_read_as_english(words, text):
    assert listed(words) == text
