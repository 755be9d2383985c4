"""What a block makes of histories: once for each, in memory or in files that other trainings find."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.core.csi import Panel
from linksim.training.data import TrainingDrops
from linksim.training.prepared import PreparedHistories


class Summing:
    """Makes the sum of each drop's history, times a factor."""

    def __init__(self, factor=1.0):
        self.factor = factor
        self.asked = 0

    def prepared(self, batch):
        self.asked += 1
        return (self.factor * batch.history.h.flatten(1).sum(1)).unbind()

    def prepared_options(self):
        return {"factor": self.factor}

    def packed(self, prepared):
        return {str(drop): value for drop, value in enumerate(prepared)}

    def unpacked(self, tensors):
        return tuple(tensors[str(drop)] for drop in range(len(tensors)))


@pytest.fixture
def drops(toy, part, monkeypatch, tmp_path):
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path / "cache"))

    def make(**changes):
        scenario = toy(changes)
        return TrainingDrops(scenario, part(scenario).training)

    return make


def seen(source, noise):
    chunk = source.chunks[0]
    return source.observed(chunk, source.draw(chunk), noise), chunk


def test_files_serve_other_trainings_on_the_same_histories_and_no_others(drops):
    source = drops(**{"training.keep_drops": True})
    batch, chunk = seen(source, "one")
    block = Summing()
    made = PreparedHistories(block, source.training).put(batch, chunk).prepared
    again = PreparedHistories(block, source.training).put(batch, chunk).prepared
    assert block.asked == 1
    assert torch.equal(torch.stack(made), torch.stack(again))
    PreparedHistories(block, source.training).put(seen(source, "another")[0], chunk)
    assert block.asked == 2
    turned = replace(batch.history, panel=Panel(2, 1, 2))  # the same antennas in a column
    PreparedHistories(block, source.training).put(replace(batch, history=turned), chunk)
    assert block.asked == 3
    other = Summing(2.0)
    doubled = PreparedHistories(other, source.training).put(batch, chunk).prepared
    assert other.asked == 1
    assert torch.equal(torch.stack(doubled), 2 * torch.stack(made))


def test_a_students_training_finds_what_its_teachers_made_but_no_block_of_ones_own_does(drops):
    source = drops(**{"training.keep_drops": True})
    batch, chunk = seen(source, "one")

    class Base(Summing):
        pass

    class Changed(Summing):
        pass

    asked = {}
    for kind in (Summing, Base, Changed):
        block = kind()
        PreparedHistories(block, source.training).put(batch, chunk)
        asked[kind] = block.asked
    assert asked == {Summing: 1, Base: 1, Changed: 1}  # of one's own: what they inherit may work otherwise
    for kind in (Base, Changed):
        kind.__module__ = "linksim.blocks.prediction.csi_alm_ad"
        block = kind()
        PreparedHistories(block, source.training).put(batch, chunk)
        assert block.asked == 0


def test_without_files_one_training_makes_them_once(drops, tmp_path):
    source = drops()
    batch, chunk = seen(source, "one")
    block = Summing()
    histories = PreparedHistories(block, source.training)
    assert histories.put(batch, chunk).prepared is histories.put(batch, chunk).prepared
    assert block.asked == 1
    assert histories.put(batch).prepared is not None
    assert block.asked == 2
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    assert PreparedHistories(object(), source.training).put(batch, chunk) is batch
