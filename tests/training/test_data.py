"""Drops kept on disk: the same values, drawn once, found by all that draws them and by nothing else."""

from __future__ import annotations

import pytest
import torch

from linksim.training import data


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Counts chunks that are really drawn, with a cache folder of its own."""
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path))
    count = []
    draw = data.chunk_of_drops
    monkeypatch.setattr(data, "chunk_of_drops", lambda *given: count.append(given) or draw(*given))
    return count


@pytest.fixture
def drops_of(toy, part):
    return lambda **changes: part(toy({"training.keep_drops": True, **changes})).drops("cpu")


@pytest.mark.parametrize("duplex", ["tdd", "fdd_adjacent"])
def test_another_training_finds_what_the_first_has_drawn(drops_of, drawn, duplex):
    plain = drops_of(**{"channel.duplex": duplex, "training.keep_drops": False})
    expected = plain.draw(plain.chunks[0])
    drawn.clear()
    batches = [drops_of(**{"channel.duplex": duplex, **changes}).draw(plain.chunks[0])
               for changes in ({}, {"training.learning_rate": 0.1}, {"training.weights_seed": 3})]
    assert len(drawn) == 1
    for batch in batches:
        for part in ("history", "future", "uplink_future"):
            kept, true = getattr(batch, part), getattr(expected, part)
            assert kept.panel == true.panel
            assert all(torch.equal(getattr(kept, name), getattr(true, name)) for name in data._TENSORS)
        assert (batch.uplink_future is batch.future) == (duplex == "tdd")


def test_other_drops_are_drawn(drops_of, drawn):
    made = [drops_of(**changes) for changes in ({}, {"training.seed": 1}, {"channel.model": "umi"},
                                                {"channel.num_subcarriers": 6})]
    batches = [drops.draw(drops.chunks[0]) for drops in made]
    batches.append(made[0].draw(made[0].chunks[1]))
    assert len(drawn) == len(batches)
    assert len({float(batch.future.h.real.flatten()[0]) for batch in batches}) == len(batches)


def test_code_that_draws_otherwise_is_not_given_what_it_did_not_draw(drops_of, drawn, monkeypatch):
    drops = drops_of()
    drops.draw(drops.chunks[0])
    monkeypatch.setattr(data, "_code", lambda: ["edited"])
    drops.draw(drops.chunks[0])
    assert len(drawn) == 2


def test_fresh_drops_and_whole_epochs_are_not_mixed_up(drops_of, drawn):
    drops = drops_of()
    first, again = drops.draw(drops.chunks[0]), drops.draw(drops.chunks[0], epoch=1)
    assert not torch.equal(first.future.h, again.future.h)
    assert len(drawn) == 2
