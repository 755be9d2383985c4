"""What every source code of captions promises: nothing lost, a budget kept, an end with any bits."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linksim.blocks.semantic.digital.text_codes import MAX_CHARACTERS, HuffmanText, TextCode, fold
from linksim.blocks.semantic.digital.word_model_text import WordModelText
from linksim.core.errors import ScenarioError


@pytest.fixture(scope="module", params=[HuffmanText, WordModelText])
def code(request, training_captions) -> TextCode:
    return request.param.fit(training_captions)


def test_captions_come_back_whole_whatever_zeros_follow(code, held_out_captions):
    for caption in held_out_captions[:50]:
        bits = code.encode(caption)
        assert set(bits) <= {"0", "1"}
        assert code.decode(bits) == code.decode(bits + "0" * 77) == caption.casefold()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_any_text_comes_back_up_to_case_and_space(code, text):
    assert code.decode(code.encode(text)) == fold(text)


def test_a_caption_is_shortened_by_whole_words_to_any_number_of_bits(code, held_out_captions):
    caption = fold(held_out_captions[0])
    whole = len(code.encode(caption))
    lengths = []
    for max_bits in range(whole + 10):
        bits = code.encode(caption, max_bits)
        assert len(bits) <= max_bits
        text = code.decode(bits.ljust(max_bits, "0"))
        assert text == caption or caption.startswith(text + " ") or not text
        lengths.append(len(text))
    assert lengths[0] == 0
    assert lengths[whole] == len(caption)
    assert len(set(lengths)) > 0.5 * len(caption.split())
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("caption", ["", "   ", "\n"])
def test_an_empty_caption_takes_no_bits(code, caption):
    assert code.encode(caption) == ""
    assert code.decode("") == code.decode("0" * 500) == ""


def test_corrupted_bits_end_in_some_text(code, held_out_captions):
    draw = random.Random(3)
    for _ in range(30):
        text = code.decode("".join(draw.choice("01") for _ in range(draw.randrange(400))))
        assert len(text) <= MAX_CHARACTERS
        text.encode("utf-8")
    assert len(code.decode("1" * 3000)) <= MAX_CHARACTERS
    bits = code.encode(held_out_captions[1])
    flipped = bits[:5] + "01"[bits[5] == "0"] + bits[6:]
    assert code.decode(flipped) != fold(held_out_captions[1])


def test_a_code_survives_being_stored(code, held_out_captions):
    tensors = code.tensors()
    assert all(isinstance(value, torch.Tensor) for value in tensors.values())
    again = type(code).from_tensors(tensors)
    for caption in (*held_out_captions[:20], "Ωmega"):
        assert again.encode(caption) == code.encode(caption)


def test_the_order_of_training_captions_does_not_matter(code, training_captions):
    again = type(code).fit(training_captions[::-1])
    assert again.encode(training_captions[3]) == code.encode(training_captions[3])


def test_nothing_to_learn_from_and_endless_captions_are_refused(code):
    with pytest.raises(ScenarioError, match="needs training captions"):
        type(code).fit([])
    with pytest.raises(ScenarioError, match="too long"):
        code.encode("a" * (MAX_CHARACTERS + 1))


def test_words_in_context_take_less_than_half_of_what_characters_take(training_captions, held_out_captions):
    mean = {}
    for kind in (HuffmanText, WordModelText):
        code = kind.fit(training_captions)
        mean[kind] = sum(len(code.encode(caption)) for caption in held_out_captions) / len(held_out_captions)
    assert mean[WordModelText] < 0.5 * mean[HuffmanText]


def test_huffman_is_within_a_bit_of_the_entropy_per_character(training_captions):
    texts = [fold(caption) for caption in training_captions]
    code = HuffmanText.fit(training_captions)
    # the end is one more character of each text
    counts = torch.tensor([sum(text.count(c) for text in texts) for c in sorted(set("".join(texts)))] + [len(texts)])
    share = counts / counts.sum()
    entropy = float(-(share * share.log2()).sum())
    bits = sum(len(code.encode(text)) + len(code.codewords["end"]) for text in texts)
    assert entropy - 0.1 < bits / float(counts.sum()) < entropy + 0.1
