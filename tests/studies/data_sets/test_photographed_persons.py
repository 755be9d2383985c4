"""Importers of photographed persons: official splits, and one line for whatever is not as expected."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from linksim.core.errors import ScenarioError
from linksim.retrieval.data import retrieval_set

FILES = {"cuhk_pedes": ("reid_raw.json", "file_path"), "icfg_pedes": ("ICFG-PEDES.json", "file_path"),
         "rstpreid": ("data_captions.json", "img_path")}


@pytest.fixture
def write(tmp_path, quick_encoder):
    """A tiny set: per person (split, id, number of pictures), each picture grey in the person's own shade."""

    def written(name, people=(("train", 1, 2), ("train", 2, 1), ("val", 3, 1), ("test", 4, 2), ("test", 5, 1)),
                change=lambda records: None):
        file, key = FILES[name]
        records = []
        for split, person, count in people:
            for number in range(count):
                path = f"{'test' if split == 'test' else 'train'}/{person:04}_{number}.jpg"
                records.append({"split": split, "id": person, key: path, "processed_tokens": [["a"]],
                                "captions": [f"person {person} picture {number}", f"again {person} {number} "]})
                (tmp_path / "imgs" / path).parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (20, 50), (20 * person,) * 3).save(tmp_path / "imgs" / path)
        change(records)
        (tmp_path / file).write_text(json.dumps(records), encoding="utf-8")
        return {"type": name, "folder": str(tmp_path)}

    return written


@pytest.mark.parametrize("name", ["cuhk_pedes", "rstpreid"])
def test_the_official_split_is_kept(name, write, check_set):
    one = retrieval_set(write(name))
    check_set(one, "image", (1, 1280))
    assert [len(split.item_identities) for split in one.splits.values()] == [3, 1, 3]
    assert [len(split.captions) for split in one.splits.values()] == [6, 2, 6]
    assert "again 5 0" in one.test.captions
    # features stay with their pictures, captions with their persons
    shade = (one.test.features[:, 0, 0] * 128 + 127) / 20
    torch.testing.assert_close(shade.round(), torch.tensor([4.0, 4.0, 5.0]))
    for text, identity in zip(one.test.captions, one.test.caption_identities):
        shades = shade[one.test.item_identities == identity].round()
        assert set(shades.tolist()) == {float(text.split()[1].replace("person", ""))}


def test_icfg_pedes_takes_validation_persons_out_of_training(write, check_set):
    people = [("train", person, 2) for person in range(1, 11)] + [("test", person, 1) for person in range(1, 4)]
    one = retrieval_set({**write("icfg_pedes", people), "validation_share": 0.2})
    check_set(one, "image", (1, 1280))
    assert [len(set(split.item_identities.tolist())) for split in one.splits.values()] == [8, 2, 3]
    assert one.identity["validation_share"] == 0.2


@pytest.mark.parametrize("name", FILES)
def test_pictures_are_encoded_once_until_they_change(name, write, quick_encoder, tmp_path):
    people = [(split, number, 1) for number, split in enumerate(["train"] * 4 + ["test"] * 2)]
    if name != "icfg_pedes":
        people[1] = ("val", 1, 1)
    reference = {**write(name, people), **({"validation_share": 0.25} if name == "icfg_pedes" else {})}
    first, again = retrieval_set(reference), retrieval_set(reference)
    assert quick_encoder.seen == 6
    assert first.identity == again.identity
    Image.new("RGB", (20, 50)).save(next((tmp_path / "imgs" / "test").iterdir()))
    retrieval_set(reference)
    assert quick_encoder.seen == 12


def test_a_folder_that_is_not_there_says_what_was_expected(tmp_path):
    with pytest.raises(ScenarioError, match=r"nowhere: no such folder; expected one with reid_raw\.json and the"):
        retrieval_set({"type": "cuhk_pedes", "folder": str(tmp_path / "nowhere")})
    with pytest.raises(ScenarioError, match=r"data_captions\.json: no such file .*expected data_captions\.json and"):
        retrieval_set({"type": "rstpreid", "folder": str(tmp_path)})


def test_missing_pictures_are_named_and_counted(write, tmp_path):
    reference = write("cuhk_pedes")
    for picture in (tmp_path / "imgs" / "test").iterdir():
        picture.unlink()
    with pytest.raises(ScenarioError, match=r"imgs/test/0004_0\.jpg: no such file \(3 of 7 are missing\)") as caught:
        retrieval_set(reference)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("change", "words"), [
    (lambda records: records[2].pop("captions"), "entry 2 has no 'captions'"),
    (lambda records: records[1].update(split="query"), "entry 1 has split 'query', but one of train, val, test"),
    (lambda records: records[1].update(captions="one text"), "captions of entry 1 are not a list of texts"),
    (lambda records: records[6].update(id=1), "identity 0 is in the train and in the test split"),
    (lambda records: records[6].update(captions=[" "]), "test split: caption 4 is empty"),
    (lambda records: records.clear(), "a JSON list of objects with split, captions, file_path, id is expected"),
])
def test_another_layout_is_one_line(change, words, write):
    with pytest.raises(ScenarioError, match=words) as caught:
        retrieval_set(write("cuhk_pedes", change=change))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_json_is_named(tmp_path):
    (tmp_path / "reid_raw.json").write_text("not json")
    with pytest.raises(ScenarioError, match=r"reid_raw\.json: cannot be read .* a JSON list"):
        retrieval_set({"type": "cuhk_pedes", "folder": str(tmp_path)})
