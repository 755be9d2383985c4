"""Captions out of a language model's answers."""

import pytest

from linksim.retrieval.generation.prompts import INSTRUCTIONS, parsed, prompt


@pytest.mark.parametrize(("answer", "caption"), [
    ("A red apple lies on a table.", "A red apple lies on a table."),
    ("\n\n  \"A red apple.\"\nIt is sweet.", "A red apple."),
    ("Description: A red apple.", "A red apple."),
    ("Here is another description of it: a red apple", "a red apple"),
    ("New description: *a red  apple*", "a red apple"),
    ("", None),
    ("Apple", None),
    ("word " * 60, None),
])
def test_what_counts_as_a_caption(answer, caption):
    assert parsed(answer) == caption


def test_the_caption_is_in_the_prompt_and_every_modality_has_one():
    for modality in ("image", "audio", "motion"):
        system, user = prompt("a red apple", modality)
        assert (system["role"], user["role"]) == ("system", "user")
        assert user["content"].endswith("a red apple")
        assert INSTRUCTIONS[modality] in user["content"]
