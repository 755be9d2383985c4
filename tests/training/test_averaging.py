"""The average of weights: what it is of, what it leaves alone, and that it is what validation sees and chooses."""

from __future__ import annotations

import math

import pytest
import torch

from linksim.core.errors import LinksimError
from linksim.training.averaging import WeightAverage
from linksim.training.minibatches import EpochPlan, Minibatches


@pytest.fixture
def block():
    """A learned map, a frozen one, a statistic, a number that is counted, and a constant in double precision."""
    block = torch.nn.ModuleDict({"learned": torch.nn.Linear(3, 2), "frozen": torch.nn.Linear(2, 2),
                                 "norm": torch.nn.BatchNorm1d(2)})
    block["frozen"].requires_grad_(False)
    block.register_buffer("constant", torch.tensor(0.1, dtype=torch.float64))
    return block


def after(block, share, num_steps):
    """The average after steps whose weights and statistics are the steps' numbers; and itself."""
    average = WeightAverage(block, share)
    for step in range(1, num_steps + 1):
        moved(block, step)
        average.update()
    return average


def moved(block, value):
    with torch.no_grad():
        block["learned"].weight.fill_(value)
        block["norm"].running_mean.fill_(value)


def seen(block, average):
    with average.in_place():
        return block["learned"].weight[0, 0].item(), block["norm"].running_mean[0].item()


@pytest.mark.parametrize(("share", "expected"), [(1.0, 4.0), (1e-9, 7.0), (1 / 7, 7.0)])
def test_it_is_the_mean_of_all_steps_or_of_the_last_share_of_them(block, share, expected):
    average = after(block, share, 7)
    assert seen(block, average) == pytest.approx((expected, expected))


def test_its_memory_is_a_share_of_the_steps_however_many_they_are(block):
    for num_steps in (100, 1000):
        # the mean age of what is in an average whose memory is s t: s t / (1 + s), less a step for steps being whole
        age = num_steps - seen(block, after(block, 0.2, num_steps))[0]
        assert 0 < 0.2 * num_steps / 1.2 - age < 1


def test_it_is_begun_anew(block):
    average = after(block, 1.0, 7)
    average.begin()
    moved(block, 20)
    average.update()
    assert seen(block, average) == (20, 20)


def test_weights_are_their_own_again_also_after_a_fault(block):
    average = after(block, 0.5, 9)
    before = {name: tensor.clone() for name, tensor in block.state_dict().items()}
    inside = seen(block, average)
    with pytest.raises(ValueError, match="fault"), average.in_place():
        raise ValueError("fault")
    assert all(torch.equal(tensor, before[name]) for name, tensor in block.state_dict().items())
    assert seen(block, average) == inside, "and so is the average"


def test_frozen_weights_and_counts_are_not_copied(block):
    held = WeightAverage(block, 0.1).state()["average"]
    assert held.keys() == {"learned.weight", "learned.bias", "norm.weight", "norm.bias", "norm.running_mean",
                           "norm.running_var", "constant"}
    average = after(block, 0.3, 9)
    assert average.state()["average"]["constant"] == 0.1


def test_it_goes_on_from_its_state(block):
    whole = after(block, 0.4, 12)
    half = after(block, 0.4, 6)
    resumed = WeightAverage(block, 0.4)
    resumed.restore({"num_steps": half.num_steps, "average": half.state()["average"]}, "GRU")
    for step in range(7, 13):
        moved(block, step)
        resumed.update()
    for name, tensor in whole.state()["average"].items():
        assert torch.equal(tensor, resumed.state()["average"][name])
    with pytest.raises(LinksimError, match="does not fit GRU: missing"):
        resumed.restore({"num_steps": 1, "average": {}}, "GRU")


def test_the_trainer_goes_on_with_the_weights_and_keeps_the_best_average(toy, train, part):
    scenario = toy({"training.weight_averaging": 0.5, "training.schedule": "constant", "training.gradient_clip": 0,
                    "training.patience": 0})
    line = part(scenario)
    block, drops = line.untrained(), line.drops("cpu")
    minibatches = Minibatches(drops, EpochPlan([one for one in drops.chunks if not one.validation], line.training))
    optimizer = torch.optim.AdamW(block.parameters(), 0.03, weight_decay=0)
    weight = block.over_time.weight
    mean, step, best = weight.detach().clone(), 0, (math.inf, None)
    for epoch in range(6):
        for minibatch in minibatches.epoch(epoch):
            optimizer.zero_grad()
            block.training_loss(minibatch.parts[0]).backward()
            optimizer.step()
            step += 1
            mean += (weight.detach() - mean) * min(1, 2 / step)
        own = weight.detach().clone()
        with torch.no_grad():
            weight.copy_(mean)
            errors = torch.cat([block.validation_errors(item.batch) for item in minibatches.validation()])
            weight.copy_(own)
        best = min(best, (float(errors.mean()), mean.clone()), key=lambda one: one[0])
    train(scenario)
    torch.testing.assert_close(part(scenario).load().over_time.weight.detach(), best[1])


def test_each_stage_has_an_average_of_its_own_and_begins_with_the_one_before(toy, train, part, monkeypatch):
    begun, averages = [], []
    begin, make = WeightAverage.begin, WeightAverage.__init__

    def made(self, block, share):
        averages.append((self, block))
        make(self, block, share)

    def noted(self):
        begin(self)
        begun.append(self.num_steps)

    monkeypatch.setattr(WeightAverage, "__init__", made)
    monkeypatch.setattr(WeightAverage, "begin", noted)
    train(toy({"training.weight_averaging": 0.5, "methods.line.predictor.num_stages": 2}))
    (average, block), = averages
    assert block.stages == [0, 1]
    assert begun == [0]
    assert average.num_steps == 30, "half of 60 steps"
