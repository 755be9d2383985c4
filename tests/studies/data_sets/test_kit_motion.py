"""KIT Motion-Language in HumanML3D's layout: official lists, parts of motions, and no code run from files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linksim.core.errors import ScenarioError
from linksim.retrieval.data import retrieval_set

TEXTS = {"00001": "a person walks#a/DET person/NOUN#0.0#0.0\nsomeone goes#someone/PRON#nan#nan\n",
         "M00001": "a person walks#a/DET#0.0#0.0\n", "00002": "a person runs#a/DET#0.0#0.0\n",
         "00003": "a person waves#a/DET#0.0#0.0\na person bows#a/DET#2.0#4.0\n"}


@pytest.fixture
def folder(tmp_path):
    for name in ("texts", "new_joint_vecs", "new_joints"):
        (tmp_path / name).mkdir()
    for number, (name, text) in enumerate(TEXTS.items()):
        (tmp_path / "texts" / f"{name}.txt").write_text(text)
        frames = np.arange(100.0)[:, None] + 1000 * number
        np.save(tmp_path / "new_joint_vecs" / f"{name}.npy", np.repeat(frames, 251, 1))
        np.save(tmp_path / "new_joints" / f"{name}.npy", np.repeat(frames[..., None], 63, 1).reshape(100, 21, 3))
    for name, members in (("train", "00001\nM00001\n"), ("val", "00002\n"), ("test", "00003\n")):
        (tmp_path / f"{name}.txt").write_text(members)
    return tmp_path


def load(folder, **options):
    return retrieval_set({"type": "kit_motion", "folder": str(folder), **options})


def test_the_official_lists_are_kept(folder, check_set):
    one = load(folder)
    check_set(one, "motion", (196, 251))
    assert one.train.captions == ("a person walks", "someone goes", "a person walks")
    assert one.train.item_identities.tolist() == [0, 1]
    assert one.validation.captions == ("a person runs",)


def test_short_motions_are_filled_up_and_long_ones_cut(folder):
    assert not load(folder).train.features[:, 100:].any()
    assert load(folder, num_frames=50).train.features[1, :, 0].tolist() == list(range(1000, 1050))


def test_a_caption_of_a_part_has_that_part_as_an_item(folder):
    test = load(folder).test
    assert test.captions == ("a person waves", "a person bows")
    assert test.item_identities.tolist() == [3, 3]
    part = test.features[1, :, 0]
    assert part[:25].tolist() == list(range(3025, 3050))
    assert not part[25:].any()


def test_positions_are_read_as_well(folder):
    one = load(folder, representation="new_joints")
    assert tuple(one.test.features.shape) == (2, 196, 63)


def test_motions_are_read_once(folder, monkeypatch):
    first = load(folder)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("read again"))
    assert torch.equal(load(folder).test.features, first.test.features)


def test_pickled_objects_are_refused(folder):
    np.save(folder / "new_joint_vecs" / "00002.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ScenarioError, match=r"00002\.npy: cannot be read: .*allow_pickle"):
        load(folder)


@pytest.mark.parametrize(("path", "content", "words"), [
    ("texts/00002.txt", b"a person runs\n", r"00002\.txt: 'a person runs' is not text#words#start#end"),
    ("new_joint_vecs/00002.npy", b"nonsense", r"00002\.npy: cannot be read"),
    ("train.txt", b"00001\n00003\n", r"identity \d is in the train and in the test split"),
    ("train.txt", b"00001\n00009\n", r"texts/00009\.txt: no such file \(1 of 4 are missing\)"),
])
def test_another_layout_is_one_line(path, content, words, folder):
    (folder / path).write_bytes(content)
    with pytest.raises(ScenarioError, match=words) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_said_with_what_was_expected(folder, tmp_path):
    (folder / "val.txt").unlink()
    with pytest.raises(ScenarioError, match=r"val\.txt: no such file .* expected train\.txt, val\.txt, test\.txt"):
        load(folder)
    with pytest.raises(ScenarioError, match="no such folder; expected one with train"):
        load(tmp_path / "nowhere")
