"""Some antenna pairs of each user: drawn anew, in the noise that all would have, with errors that are right on average.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from linksim.blocks.prediction.sequences import taken_sequences, to_sequences
from linksim.training.antenna_pairs import chosen_pairs, some_pairs
from linksim.training.data import TrainingDrops, joined, moved, selected
from linksim.training.minibatches import EpochPlan, Minibatches


@pytest.fixture
def drops(toy, part):
    def make(**changes):
        scenario = toy({"channel.bs_array": {"rows": 2, "columns": 2}, **changes})
        return TrainingDrops(scenario, part(scenario).training)

    return make


@pytest.fixture
def batch(drops):
    """25 drops of eight antenna pairs, six samples and two to come, four subcarriers."""
    source = drops()
    return source.draw(source.chunks[0])


def test_pairs_are_drawn_anew_for_every_user_and_name_and_none_is_taken_twice(batch):
    h = batch.history.h
    drawn = [chosen_pairs(h, 2, 0, (0, number)) for number in range(100)]
    assert drawn[0].shape == (25, 1, 2)
    assert all((index[..., 0] != index[..., 1]).all() for index in drawn)
    assert len({tuple(index.flatten().tolist()) for index in drawn}) == 100
    assert (torch.bincount(torch.stack(drawn).flatten(), minlength=8) > 500).all()
    assert torch.equal(chosen_pairs(h, 2, 0, (0, 3)), drawn[3])
    assert chosen_pairs(h, 2, 0, ())[0, 0].tolist() == [0, 4]


def test_errors_of_some_pairs_are_those_of_all_on_average(batch):
    errors = []
    for number in range(400):
        taken = taken_sequences(some_pairs(batch, chosen_pairs(batch.history.h, 2, 0, (number,))))
        errors.append(taken.errors(torch.zeros(len(taken.x), 2, 8)))
    torch.testing.assert_close(torch.stack(errors).mean(0), torch.ones(25, 1), atol=0.1, rtol=0)


def test_some_pairs_are_scaled_as_all_are(batch):
    x = to_sequences(batch.history)[0].unflatten(0, (25, 1, 8))
    index = chosen_pairs(batch.history.h, 3, 0, (1,))
    some = some_pairs(batch, index)
    taken = taken_sequences(some)
    torch.testing.assert_close(taken.x.view(25, 1, 3, 6, 8), x.take_along_dim(index[..., None, None], 2))
    torch.testing.assert_close(taken.of(some.history), taken.x)


def test_some_pairs_of_some_drops_are_those_of_the_whole(batch):
    some = some_pairs(batch, chosen_pairs(batch.history.h, 2, 0, (1,)))
    order = torch.tensor([24, *range(24)])
    again = moved(joined([selected(some, torch.tensor([24])), selected(some, slice(24))]), "cpu")
    whole, parts = taken_sequences(some), taken_sequences(again)
    torch.testing.assert_close(parts.x.unflatten(0, (25, -1)), whole.x.unflatten(0, (25, -1))[order])
    torch.testing.assert_close(parts.power, whole.power[order])


@pytest.mark.parametrize("acquisition", [{"type": "awgn", "csi_snr_db": 5}, {"type": "perfect"},
                                         {"type": "pilots", "csi_snr_db": 5}], ids=lambda it: it["type"])
def test_the_history_is_as_noisy_as_that_of_all_pairs(acquisition, drops):
    source = drops(acquisition=acquisition)
    chunk = source.chunks[0]
    true = source.draw(chunk)
    pairs = true.history.h.shape[2] * true.history.h.shape[3]
    whole = source.observed(chunk, true, "noise")
    some = source.observed(chunk, true, "noise", antenna_pairs=2)
    assert some.history.h.shape[2:4] == (1, 2)
    torch.testing.assert_close(some.history.noise_variance, whole.history.noise_variance)
    known = some_pairs(true, chosen_pairs(true.history.h, 2, source._seed(chunk), ("noise",)))
    assert torch.equal(some.future.h, known.future.h)
    error, expected = ((seen.history.h - at.history.h).abs().square().mean() / at.history.h.abs().square().mean()
                       for seen, at in ((some, known), (whole, true)))
    torch.testing.assert_close(error, expected, rtol=0.15, atol=0)
    all_of_it = source.observed(chunk, true, "noise", antenna_pairs=pairs)
    assert all_of_it.all_pairs is None
    assert torch.equal(all_of_it.history.h, whole.history.h)
    scale = to_sequences(whole.history)[1].flatten()
    torch.testing.assert_close(taken_sequences(some).scale.flatten(), scale, rtol=0.1, atol=0)


@pytest.mark.parametrize(("sees_pairs", "shape"), [(True, (1, 2)), (False, None)])
def test_only_blocks_that_see_each_pair_by_itself_get_some(sees_pairs, shape, drops):
    source = drops()
    plan = EpochPlan([chunk for chunk in source.chunks if not chunk.validation], source.training)
    minibatches = Minibatches(source, plan, block=SimpleNamespace(sees_antenna_pairs=sees_pairs))
    whole = tuple(source.draw(source.chunks[0]).history.h.shape[2:4])
    first, second = (next(iter(minibatches.epoch(number))).parts[0] for number in (0, 1))
    assert tuple(first.history.h.shape[2:4]) == (shape or whole)
    assert not torch.equal(first.history.h, second.history.h)
    validation = [next(iter(minibatches.validation())).batch for _ in range(2)]
    assert torch.equal(*(one.history.h for one in validation))
    assert tuple(validation[0].future.h.shape[2:4]) == (shape or whole)
