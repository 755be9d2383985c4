"""Minibatches: the same drops in every epoch in another noise, kept or drawn again, whole or from the middle on."""

import pytest
import torch

from linksim.training.data import TrainingDrops, training_batches
from linksim.training.epochs import EpochPlan
from linksim.training.minibatches import Minibatches


@pytest.fixture
def minibatches(toy, part):
    def make(changes=None):
        scenario = toy(changes)
        training = part(scenario).training
        drops = TrainingDrops(scenario, training)
        return Minibatches(drops, EpochPlan([chunk for chunk in drops.chunks if not chunk.validation], training))

    return make


def histories(items):
    return torch.cat([part.history.h for item in items for part in item.parts])


def futures(items):
    return torch.cat([part.future.h for item in items for part in item.parts])


def in_order(h, by=None):
    """Drops sorted by one of their values (of those of another tensor), to compare sets."""
    return h[torch.argsort((h if by is None else by).flatten(1)[:, 0].real)]


def test_an_epoch_has_the_same_drops_as_the_one_before_in_another_noise(minibatches):
    made = minibatches()
    first, second = (list(made.epoch(number)) for number in (0, 1))
    assert not torch.equal(futures(first), futures(second))
    assert torch.equal(in_order(futures(first)), in_order(futures(second)))
    difference = in_order(histories(first), futures(first)) - in_order(histories(second), futures(second))
    assert 0 < difference.abs().mean() < 0.3


def test_kept_and_drawn_again_are_equal_and_so_is_an_epoch_begun_in_the_middle(minibatches):
    kept, again = minibatches(), minibatches({"training.cache_gb": 0})
    for epoch in (0, 1):
        assert torch.equal(histories(kept.epoch(epoch)), histories(again.epoch(epoch)))
    whole = list(kept.epoch(1))
    assert torch.equal(histories(kept.epoch(1, 7)), histories(whole[7:]))


def test_an_epoch_of_several_passes_is_one_after_the_other_and_may_begin_in_any(minibatches):
    once = minibatches({"training.fraction": 0.5})
    twice = minibatches({"training.fraction": 0.5, "training.even_steps": True})
    assert twice.plan.num_steps == 2 * once.plan.num_steps
    whole = list(twice.epoch(1))
    assert len(whole) == twice.plan.num_steps
    passes = torch.cat([histories(once.epoch(number)) for number in (2, 3)])
    assert torch.equal(histories(whole), passes), "in another noise each"
    for first in (1, once.plan.num_steps, once.plan.num_steps + 1):
        assert torch.equal(histories(twice.epoch(1, first)), histories(whole[first:]))


def test_fresh_drops_are_others_in_every_epoch_but_the_same_again(minibatches):
    fresh, finite = minibatches({"training.fresh_drops": True}), minibatches()
    assert torch.equal(histories(fresh.epoch(0)), histories(finite.epoch(0)))
    assert not torch.equal(in_order(futures(fresh.epoch(1))), in_order(futures(fresh.epoch(0))))
    other = minibatches({"training.fresh_drops": True})
    assert torch.equal(histories(other.epoch(1)), histories(fresh.epoch(1)))


def test_they_are_the_drops_that_ridge_is_fitted_on_and_validation_is_always_the_same(minibatches, toy):
    made = minibatches({"training.weights_seed": 5})
    learned = in_order(futures(made.epoch(0)))
    fitted = in_order(torch.cat([batch.future.h for batch, validation in training_batches(toy()) if not validation]))
    assert torch.equal(learned, fitted)
    expected = torch.cat([batch.history.h for batch, validation in training_batches(toy()) if validation])
    for _ in range(2):
        assert torch.equal(torch.cat([item.batch.history.h for item in made.validation()]), expected)


def test_snr_is_drawn_for_each_drop_between_the_limits(minibatches):
    made = minibatches({"training.csi_snr_db": [5, 20], "sweep": {"acquisition.csi_snr_db": [0, 30]}})
    assert len(made.drops.conditions) == 1

    def snr_db(batches):
        return torch.cat([-10 * torch.log10(b.history.noise_variance.flatten()) for b in batches])

    first = snr_db([part for item in made.epoch(0) for part in item.parts])
    # the noise is relative to each user's own power, whose mean is one
    assert first.min() < 8
    assert first.max() > 17
    assert first.std() > 3
    assert torch.equal(*(snr_db([item.batch for item in made.validation()]) for _ in range(2)))


def test_conditions_on_different_bands_share_a_step_but_not_a_batch(minibatches):
    made = minibatches({"sweep": {"channel.duplex": ["tdd", "fdd_adjacent"]}, "training.num_drops": 500})
    for item in made.epoch(0):
        assert item.num_drops == 20
        assert len(item.parts) == 2
        assert {part.uplink_future is part.future for part in item.parts} == {True, False}
