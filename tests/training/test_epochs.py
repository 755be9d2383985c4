"""The order of training drops: each of them once in an epoch, all conditions in a step, the same however it is cut."""

from dataclasses import replace

import pytest

from linksim.core.errors import ScenarioError
from linksim.scenario.schema import Training
from linksim.training.conditions import Chunk, training_chunks
from linksim.training.epochs import EpochPlan

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
