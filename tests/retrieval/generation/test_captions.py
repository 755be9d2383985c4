"""Captions out of a language model's answers. Generated captions: made once, kept, and gone on with after a kill.
"""

from __future__ import annotations

import json

import pytest
import torch

from linksim.core.errors import LinksimError, StoreError
from linksim.retrieval.data import RetrievalSet, Split
from linksim.retrieval.generation import captions
from linksim.retrieval.generation.captions import INSTRUCTIONS, parsed, prompt


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


@pytest.fixture
def data(monkeypatch, tmp_path):
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path))

    def split(first):
        return Split((f"thing {first}", f"thing {first + 1}"), torch.tensor([first, first + 1]),
                     torch.tensor([first, first + 1]), torch.ones(2, 1, 3))

    return RetrievalSet("toy", "image", split(0), split(10), split(20), {"name": "toy"})


class Speaker:
    """In the language model's place: says the caption again, in other words."""

    asked = 0

    def __init__(self, name):
        self.name = name

    def answers(self, prompts, temperature, top_p, max_tokens, seed):
        Speaker.asked += len(prompts)
        return [f"what is {prompt[-1]['content'].split('Description: ')[1]} {seed % 1000}" for prompt in prompts]


@pytest.fixture
def speaker(monkeypatch):
    monkeypatch.setattr("linksim.retrieval.generation.language_model.TextGenerator", Speaker)
    Speaker.asked = 0


def test_without_generated_captions_it_says_so(data):
    assert not captions.is_generated(data)
    with pytest.raises(LinksimError, match="toy: no generated captions"):
        captions.generated_captions(data)


def test_they_are_made_once(data, speaker):
    said = []
    captions.generate_captions(data, "any", said.append)
    assert Speaker.asked == 2 * captions.NUM_CANDIDATES
    assert "2 of 2" in said[-1]
    made = captions.generated_captions(data)
    assert set(made) == {"thing 0", "thing 1"}
    assert all(1 <= len(found) <= captions.NUM_CANDIDATES for found in made.values())
    digest = captions.generated_digest(data)
    captions.generate_captions(data, "any", said.append)
    assert Speaker.asked == 2 * captions.NUM_CANDIDATES
    assert captions.generated_digest(data) == digest


def test_a_generation_that_was_killed_goes_on(data, speaker, tmp_path):
    captions.generate_captions(data, "any", lambda text: None)
    path, = (tmp_path / "generated").glob("*.json")
    about = json.loads(path.read_text())
    del about["captions"]["thing 1"]
    path.write_text(json.dumps(about))
    assert not captions.is_generated(data)
    Speaker.asked = 0
    captions.generate_captions(data, "any", lambda text: None)
    assert Speaker.asked == captions.NUM_CANDIDATES
    assert captions.is_generated(data)


@pytest.mark.parametrize("content", ["", "{", "null", "[]", "{}", '{"captions": null}', '{"captions": ["thing 0"]}',
                                     '{"captions": {"thing 0": "text"}}', '{"captions": {"thing 0": [1]}}',
                                     "[" * 100_000], ids=range(10))
def test_damaged_captions_are_named_with_what_to_do(content, data, speaker, tmp_path):
    captions.generate_captions(data, "any", lambda text: None)
    (path,) = (tmp_path / "generated").glob("*.json")
    path.write_text(content)
    for action in (lambda: captions.is_generated(data), lambda: captions.generated_digest(data),
                   lambda: captions.generate_captions(data, "any", lambda text: None)):
        with pytest.raises(StoreError, match=r"toy-\w+\.json: damaged \(.*delete it, and `linksim train` generates"):
            action()
    path.unlink()
    captions.generate_captions(data, "any", lambda text: None)
    assert captions.is_generated(data)
    assert not list((tmp_path / "generated").glob("*.tmp"))
