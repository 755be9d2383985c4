"""Tux Paint's stamps: texts and speech are matched by language; what is missing is said."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from linksim.core import packages
from linksim.core.errors import LinksimError, ScenarioError
from linksim.retrieval.data import retrieval_set


@pytest.fixture
def folder(tmp_path):
    """Twelve stamps spoken in Spanish, one of them twice, one of them without a Spanish text."""
    for number in range(12):
        place = tmp_path / "animals" / ("cats" if number % 2 else "dogs")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"n{number}_desc_es.ogg").write_bytes(bytes([number]))
        text = "" if number == 11 else f"es.utf8=Animal {min(number, 9)}.\nes_MX.utf8=No.\n"
        (place / f"n{number}.txt").write_text(f"Animal number {number}.\nfr.utf8=Un animal.\n{text}", encoding="utf-8")
    (tmp_path / "animals" / "without_text_desc_es.ogg").write_bytes(b"x")
    return tmp_path


@pytest.fixture
def soundfile(monkeypatch):
    """Reads a file of one byte as that many tenths of a second of noise."""
    reader = types.ModuleType("soundfile")

    def read(path, always_2d):
        count = (1 + path.read_bytes()[0]) * 2205
        return np.random.default_rng(0).normal(size=(count, 1)) * 0.1, 22050

    reader.read = read
    monkeypatch.setitem(sys.modules, "soundfile", reader)
    monkeypatch.setattr(packages, "installed_version", lambda name: "0.13")


def load(folder, **options):
    return retrieval_set({"type": "stamps", "folder": str(folder), **options})


def test_stamps_of_one_text_are_one_identity(folder, soundfile, check_set):
    one = load(folder)
    check_set(one, "audio", (150, 64))
    assert sum(len(split.captions) for split in one.splits.values()) == 10
    assert sum(len(split.item_identities) for split in one.splits.values()) == 11
    texts = {text for split in one.splits.values() for text in split.captions}
    assert texts == {f"Animal {number}." for number in range(10)}


def test_captions_may_be_english(folder, soundfile):
    one = load(folder, captions="english")
    assert sum(len(split.captions) for split in one.splits.values()) == 12
    assert all(text.startswith("Animal number") for text in one.train.captions)


def test_speech_as_long_as_it_is(folder, soundfile):
    one = load(folder)
    for split in one.splits.values():
        for text, identity in zip(split.captions, split.caption_identities):
            heard = (split.features[split.item_identities == identity] > -10).any(-1).sum(-1)
            number = int(text.removeprefix("Animal ").rstrip("."))
            assert int(heard[0]) == pytest.approx((1 + number) * 2.5, abs=2)


def test_what_is_missing_is_one_line(folder, tmp_path, without):
    with pytest.raises(ScenarioError, match=r"no such folder; expected one with Tux Paint's stamps \(Debian package"):
        load(tmp_path / "nowhere")
    with pytest.raises(ScenarioError, match=r"no spoken description in 'ru' with a text; expected Tux Paint"):
        load(folder, language="ru")
    without("soundfile")
    with pytest.raises(LinksimError, match=r": package soundfile is not installed: `uv run …` brings it, or "):
        load(folder)
