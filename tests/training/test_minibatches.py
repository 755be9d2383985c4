"""The order of training drops: each of them once in an epoch, all conditions in a step, the same however it is cut.
Minibatches: the same drops in every epoch in another noise, kept or drawn again, whole or from the middle on.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from linksim.core.errors import ScenarioError
from linksim.scenario.schema import Training
from linksim.training.conditions import Chunk, training_chunks
from linksim.training.data import TrainingDrops, training_batches
from linksim.training.minibatches import EpochPlan, Minibatches

CHUNKS = [Chunk(index, index % 4, False) for index in range(40)]


def plan(rank=0, num_ranks=1, chunks=CHUNKS, **fields):
    return EpochPlan(chunks, Training(**{"batch_drops": 32, **fields}), rank, num_ranks)


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_every_drop_is_in_one_step_of_an_epoch_on_one_process(num_ranks):
    batch = 30
    plans = [plan(rank, num_ranks, batch_drops=batch) for rank in range(num_ranks)]
    assert len({p.num_steps for p in plans}) == 1
    for epoch in (0, 1):
        seen = []
        for p in plans:
            steps = p.steps(epoch)
            assert len(steps) == p.num_steps
            assert 0 < max(map(len, steps)) <= batch // num_ranks
            assert max(map(len, steps)) - min(map(len, steps)) <= 1
            seen += [(p.chunks[number].index, drop) for step in steps for number, drop in step]
        assert sorted(seen) == [(chunk.index, drop) for chunk in CHUNKS for drop in range(25)]


@pytest.mark.parametrize("num_ranks", [1, 3])
def test_drops_seen_are_those_of_the_steps_of_all_processes(num_ranks):
    plans = [plan(rank, num_ranks, batch_drops=33) for rank in range(num_ranks)]
    steps = [sum(map(len, each)) for each in zip(*(p.steps(0) for p in plans))]
    assert len(set(steps)) > 1
    for p in plans:
        assert [p.drops_seen(number) for number in range(len(steps) + 1)] == [
            sum(steps[:number]) for number in range(len(steps) + 1)]
        assert p.drops_seen(2 * len(steps) + 3) == 2 * 1000 + sum(steps[:3])


def test_steps_mix_the_conditions_and_few_chunks_are_needed_at_a_time():
    steps = plan().steps(0)
    for step in steps:
        assert {CHUNKS[number].condition for number, _ in step} == {0, 1, 2, 3}
    first, last = {}, {}
    for place, step in enumerate(steps):
        for number, _ in step:
            first.setdefault(number, place)
            last[number] = place
    assert max(sum(first[n] <= place <= last[n] for n in first) for place in range(len(steps))) < 30


def test_the_order_depends_on_seed_and_epoch_alone():
    assert plan().steps(3) == plan().steps(3)
    assert plan().steps(3) != plan().steps(4)
    assert plan().steps(3) != plan(weights_seed=1).steps(3)
    assert plan().steps(3) == plan(seed=1).steps(3)


def test_a_fraction_is_gone_over_until_the_steps_are_as_many():
    few = plan(chunks=CHUNKS[:10], fraction=0.25, batch_drops=25)
    often = plan(chunks=CHUNKS[:10], fraction=0.25, batch_drops=25, even_steps=True)
    assert (few.num_steps, often.num_steps, often.num_passes) == (10, 40, 4)
    assert often.num_steps == plan(batch_drops=25).num_steps
    assert often.steps(2) == few.steps(2), "each pass in its own order"


def test_more_drops_per_step_than_there_are_or_processes_than_chunks_are_refused():
    with pytest.raises(ScenarioError, match=r"batch_drops: 64 drops per step, but there are 50 .* use at most 50"):
        plan(chunks=CHUNKS[:2], batch_drops=64)
    with pytest.raises(ScenarioError, match=r"devices: 50 training drops in 2 chunks cannot be shared by 4 processes"):
        plan(chunks=CHUNKS[:2], batch_drops=8, num_ranks=4)


def test_a_fraction_takes_the_same_drops_of_every_condition_and_a_larger_one_contains_it(toy, part):
    def taken(fraction):
        scenario = toy({"sweep": {"channel.speed_kmh": [10, 60]}, "training.num_drops": 1000,
                        "training.fraction": fraction})
        return training_chunks(scenario, part(scenario).training)

    whole, third, tenth = taken(1.0), taken(0.3), taken(0.1)
    assert [c for c in whole if c.validation] == [c for c in tenth if c.validation]
    for chunks, share in ((whole, 400), (third, 120), (tenth, 40)):
        for condition in (0, 1):
            assert sum(c.num_drops for c in chunks if c.condition == condition and not c.validation) == share
    drops = [{(c.index, drop) for c in chunks if not c.validation for drop in range(c.num_drops)}
             for chunks in (tenth, third, whole)]
    assert drops[0] < drops[1] < drops[2]
    assert replace(tenth[0], num_drops=25) == whole[0]


@pytest.fixture
def minibatches(toy, part):
    def make(changes=None, block=None):
        scenario = toy(changes)
        training = part(scenario).training
        drops = TrainingDrops(scenario, training)
        plan = EpochPlan([chunk for chunk in drops.chunks if not chunk.validation], training)
        return Minibatches(drops, plan, block=block)

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


@pytest.mark.parametrize("fresh_noise", [True, False])
def test_what_is_prepared_goes_with_its_history_and_is_made_once_for_each(fresh_noise, minibatches):
    asked = []

    def first_values(batch):
        asked.append(len(batch.history.h))
        return batch.history.h.flatten(1)[:, 0].tolist()

    made = minibatches({"training.fresh_noise": fresh_noise}, SimpleNamespace(prepared=first_values))
    num_chunks = len(made.plan.chunks)
    epochs = [list(made.epoch(number)) for number in (0, 1)]
    for minibatch in (minibatch for epoch in epochs for minibatch in epoch):
        for part in minibatch.parts:
            assert part.prepared == part.history.h.flatten(1)[:, 0].tolist()
    assert len(asked) == num_chunks * (2 if fresh_noise else 1)
    same = torch.equal(in_order(histories(epochs[0])), in_order(histories(epochs[1])))
    assert same is not fresh_noise
    asked.clear()
    for _ in range(2):
        assert all(item.batch.prepared == item.batch.history.h.flatten(1)[:, 0].tolist() for item in made.validation())
    assert len(asked) == len(made.validation_chunks)


def test_fresh_drops_have_fresh_noise():
    with pytest.raises(ValueError, match=r"fresh_drops draws other histories .* leave one of them out"):
        Training(fresh_drops=True, fresh_noise=False)
