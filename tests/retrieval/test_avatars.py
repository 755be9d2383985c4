"""Avatars: what captions say is in every picture of a person, and what varies is never said."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from linksim.core.packages import package_folder
from linksim.retrieval.avatars import STYLES, Avatars, caption, draw_people, draw_picture

KNOWN = {"a", "the", "this", "person", "someone", "somebody", "with", "wearing", "wears", "in", "and", "has"}

pytestmark = pytest.mark.needs("dicebear", "dicebear_styles", "resvg_py")


def test_no_two_persons_are_alike_and_more_persons_leave_the_first_as_they_are():
    people = draw_people(60, 0)
    assert len({str((person.style.name, person.options)) for person in people}) == 60
    assert draw_people(20, 0) == people[:20]
    assert draw_people(20, 1) != people[:20]


@pytest.mark.parametrize("style", STYLES[1:], ids=lambda style: style.name)
def test_tables_name_only_what_the_style_has(style):
    drawn = json.loads((package_folder("dicebear-styles") / f"{style.name}.json").read_text(encoding="utf-8"))
    spoken = {name for names in style.colors for name in names}
    assert spoken <= set(drawn["colors"])
    for part in style.parts:
        for variant, ways in {**part.has, **part.wears}.items():
            assert all(one in drawn["components"][name]["variants"]
                       for name, one in zip(part.component, variant.split("/")))
            assert ways
            assert set(re.findall(r"{(\w+)}", " ".join(ways))) <= spoken


def test_a_caption_tells_two_parts_or_more_of_its_person_and_nothing_else():
    rng = np.random.default_rng(0)
    for person in draw_people(40, 0):
        parts = [*person.has, *person.wears]
        assert all("{" not in way for part in parts for way in part)
        for _ in range(5):
            text = caption(person, rng)
            told = [part for part in parts if any(way in text for way in part)]
            assert len(told) >= 2
            rest = text
            for way in sorted((way for part in parts for way in part), key=len, reverse=True):
                rest = rest.replace(way, "")
            assert set(re.findall(r"\w+", rest)) <= KNOWN, text


def test_captions_of_two_persons_are_mostly_but_not_always_different():
    texts = [text for person in draw_people(300, 0) for text in Avatars().captions(person)]
    assert 0.85 * len(texts) < len(set(texts)) < len(texts)


def test_pictures_of_a_person_differ_but_in_all_of_them_the_clothes_have_the_colour_told():
    for person in draw_people(5, 0):
        pictures = [draw_picture(person, seed) for seed in range(3)]
        assert np.array_equal(pictures[0], draw_picture(person, 0))
        assert (pictures[0] != pictures[1]).mean() > 0.05
        color = next(person.options[name] for name in ("clothesColor", "shirtColor", "clothingColor")
                     if name in person.options)
        pixel = np.array([int(color[start:start + 2], 16) for start in (1, 3, 5)])
        for picture in pictures:
            assert (abs(picture - pixel).max(-1) < 3).mean() > 0.01, person.options


def test_the_set_is_whole(quick_encoder, check_set):
    one = Avatars(num_identities=10, pictures_per_identity=2, captions_per_identity=3).load()
    check_set(one, "image", (1, 1280))
    for split, persons in zip(one.splits.values(), (7, 1, 2)):
        assert len(split.item_identities) == 2 * persons
        assert len(split.captions) == 3 * persons
    assert quick_encoder.seen == 20
