"""How far trainings are, asked from outside: nothing is written, and each part is in one of four states."""

from __future__ import annotations

import json
import math

import pytest
from rich.console import Console

from linksim.core.file_lock import held
from linksim.training.preparation import prepare_parts
from linksim.training.progress import TrainingProgress
from linksim.training.schedule import Schedule
from linksim.training.status import training_status

METHODS = {"methods": [{"name": "ridge", "predictor": "ridge"}, {"name": "line", "predictor": "line"}, "hold"],
           "training.num_epochs": 1}


@pytest.fixture
def told(toy, part):
    """A training of the line that has told of three steps of ten."""
    line = part(toy(METHODS), 1)
    (line.folder / "resume").mkdir(parents=True)
    with TrainingProgress(Console(quiet=True), "line", Schedule(line.training, 1, 10), 0, line.folder) as progress:
        progress.tell(3, math.inf, 0.1, 0.1)
    return line


def test_what_is_not_begun_in_training_interrupted_and_made(toy, told):
    scenario = toy(METHODS)
    with held(told.folder / ".lock", "trains"):
        ridge, line = training_status(scenario)
        assert ridge == "ridge: not begun"
        assert line.startswith("line: in training: step 3/10   epoch 1/1   at most ")
        assert "   validation -10.00 dB (best -10.00)   " in line
        assert line.endswith(" s ago")
        (told.folder / "resume" / "progress.json").unlink()
        assert training_status(scenario, "line") == ["line: in training, no step made yet"]


def test_what_was_interrupted_says_how_far_it_came(toy, told):
    _, line = training_status(toy(METHODS))
    assert line.startswith("line: interrupted ")
    assert " ago: step 3/10   epoch 1/1   validation -10.00 dB (best -10.00); " in line
    assert line.endswith("; without --status the same command goes on")


def test_what_is_made_says_where(toy, part, tmp_path):
    scenario = toy(METHODS)
    prepare_parts(scenario, "cpu", Console(quiet=True))
    folders = [part(scenario, method).folder for method in (0, 1)]
    assert training_status(scenario) == [f"ridge: made, {folders[0]}", f"line: made, {folders[1]}"]
    by_hand = toy({"methods.line.predictor": {"type": "line", "checkpoint": str(folders[1])}})
    (line,) = training_status(by_hand)
    assert line.startswith(f"line: loaded from {folders[1]} as given")


def test_the_command_tells_and_writes_nothing(toy, command, tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(json.dumps(toy(METHODS).model_dump(mode="json", exclude_none=True, exclude_defaults=True)))
    outcome = command("train", path, "--status")
    assert (outcome.code, outcome.out.splitlines()) == (0, ["ridge: not begun", "line: not begun"])
    assert command("train", path, "--status", "--method", "line").out.splitlines() == ["line: not begun"]
    assert [found.name for found in tmp_path.iterdir()] == ["toy.yaml"]


@pytest.mark.parametrize(("arguments", "said"), [
    (["--method", "lin"], "error: --method lin: no such method: did you mean 'line'?"),
    (["--method", "hold"], "error: --method hold: this method is not trained"),
    (["--set", "training.weight_averaging=2"], "error: "),
])
def test_bad_input_is_one_line(arguments, said, toy, command, tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(json.dumps(toy(METHODS).model_dump(mode="json", exclude_none=True, exclude_defaults=True)))
    outcome = command("train", path, "--status", *arguments)
    assert outcome.code == 2
    assert outcome.line.startswith(said)
