"""Schedules: rates rise and fall, anew in each stage; stages share the epochs, and patience ends the last one alone."""

import pytest

from linksim.scenario.training import Training
from linksim.training.loop import Selection
from linksim.training.schedule import Schedule, relative_rate, stage_epochs, step_of_stage


def test_the_rate_rises_and_falls():
    rates = [relative_rate(step, 100, "cosine", 0.1) for step in range(101)]
    assert rates[0] == 0.1
    assert rates[9] == rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == 0
    assert relative_rate(7, 100, "constant", 0.1) == 1


@pytest.mark.parametrize(("epochs", "stages", "each"), [(5, 2, [2, 3]), (1, 2, [0, 1]), (4, 1, [4])])
def test_stages_share_the_epochs(epochs, stages, each):
    assert stage_epochs(epochs, stages) == each
    schedule = Schedule(Training(), epochs, 3, stages)
    assert [schedule.stage(epoch) for epoch in range(epochs)] == [
        stage for stage, number in enumerate(each) for _ in range(number)]


def test_the_schedule_begins_anew_with_each_stage():
    assert [step_of_stage(step, [2, 3]) for step in range(6)] == [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (3, 3)]
    training = Training(learning_rate=0.5, schedule="cosine", warmup=0.5)
    rates = [Schedule(training, 4, 2, num_stages=2).learning_rate(step) for step in range(8)]
    assert rates[:4] == rates[4:]
    assert max(rates) == 0.5


def test_patience_ends_the_last_stage_alone():
    selection = Selection(waited=5, stage=0)
    assert not selection.is_over(patience=2, last_stage=1)
    assert selection.is_over(patience=2, last_stage=0)
    assert not selection.is_over(patience=0, last_stage=0)
