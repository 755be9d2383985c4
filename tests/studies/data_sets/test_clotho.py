"""Clotho: official splits, sounds of any length and rate as frames of one number, one line for faults."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from linksim.core.errors import ScenarioError
from linksim.loading.load import scenario_from_dict
from linksim.retrieval import files
from linksim.retrieval.data import retrieval_set
from linksim.retrieval.log_mel import SILENCE

SECONDS = {"development": (1.2, 40.0), "validation": (2.4,), "evaluation": (1.2,)}


@pytest.fixture
def folder(tmp_path):
    for split, seconds in SECONDS.items():
        (tmp_path / split).mkdir()
        with (tmp_path / f"clotho_captions_{split}.csv").open("w", newline="", encoding="utf-8") as lines:
            table = csv.writer(lines)
            table.writerow(["file_name", *(f"caption_{number}" for number in range(1, 6))])
            for number, length in enumerate(seconds):
                name = f"{split}, {number}.wav"
                table.writerow([name, *(f"{split} {number}, caption {k}" for k in range(5))])
                noise = np.random.default_rng(number).normal(size=round(length * 22050)) * 3000
                wavfile.write(tmp_path / split / name, 22050, noise.astype(np.int16))
    return tmp_path


def load(folder):
    return retrieval_set({"type": "clotho", "folder": str(folder)})


def test_the_official_split_is_kept(folder, check_set):
    one = load(folder)
    check_set(one, "audio", (250, 64))
    assert [len(split.captions) for split in one.splits.values()] == [10, 5, 5]
    assert one.test.captions[0] == "evaluation 0, caption 0"


def test_short_sounds_end_in_silence_and_long_ones_are_cut(folder):
    short, long = load(folder).train.features
    silent = torch.isclose(short, torch.tensor(SILENCE)).all(-1)
    assert silent.nonzero().flatten().tolist() == list(range(10, 250))  # 1.2 s in frames of 0.12 s
    assert not torch.isclose(long, torch.tensor(SILENCE)).all(-1).any()


def test_sounds_are_read_once(folder, monkeypatch):
    first = load(folder)
    monkeypatch.setattr(files, "read_audio", lambda _: pytest.fail("read again"))
    assert torch.equal(load(folder).train.features, first.train.features)


def test_faults_are_one_line(folder, tmp_path):
    (folder / "validation" / "validation, 0.wav").unlink()
    with pytest.raises(ScenarioError, match=r"validation, 0\.wav: no such file \(1 of 4 are missing\); expected c"):
        load(folder)
    (folder / "clotho_captions_validation.csv").write_text("file,caption\na,b\n")
    with pytest.raises(ScenarioError, match=r"no column 'file_name'; expected file_name, caption_1"):
        load(folder)
    with pytest.raises(ScenarioError, match=r"no such folder; expected one with clotho_captions_"):
        load(tmp_path / "nowhere")


def test_a_scenario_names_it_as_every_other(folder):
    """With the file among its ``plugins``; a folder that is not there is refused with its place."""

    def scenario(place):
        return scenario_from_dict({
            "channel": {"num_subcarriers": 8, "num_history": 2, "num_future": 1}, "metrics": ["map"], "bounds": [],
            "methods": [{"name": "m", "semantic": "sc_lmkb"}],
            "semantic": {"data": {"type": "clotho", "folder": str(place)}, "channel_uses": 16}})

    assert scenario(folder).semantic.data["type"] == "clotho"
    with pytest.raises(ScenarioError, match=r"semantic\.data: clotho: folder: .*nowhere: no such folder"):
        scenario(folder / "nowhere")
