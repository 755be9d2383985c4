"""Trainings in several processes: they share every step, fail in one line and end with the one that started them."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from linksim.core.errors import LinksimError, NumericalError
from linksim.training.launch import _reason


@pytest.fixture
def failure(tmp_path):
    """How a process failed that said this last."""
    def failure(said, code=1):
        path = tmp_path / "error.json"
        if said:
            path.write_text(json.dumps({"message": {"message": said, "extraInfo": {"timestamp": "1"}}}))
        return _reason(ChildFailedError("train", {0: ProcessFailure(0, 123, code, str(path))}), "GRU")

    return failure


def test_an_error_of_a_process_is_raised_as_it_was_there(failure):
    error = failure("NumericalError: method 'GRU': the training loss is not finite: stop")
    assert type(error) is NumericalError
    assert str(error) == "method 'GRU': the training loss is not finite: stop"
    other = failure("KeyError: 'two\nlines'")
    assert type(other) is LinksimError
    assert str(other) == "method 'GRU': a training process failed: KeyError: 'two lines'"


def test_a_process_that_was_killed_says_nothing(failure):
    assert str(failure("", -9)) == "method 'GRU': a training process was killed; the same command goes on"


@pytest.mark.slow
def test_two_processes_share_every_step(toy, train, about, validation_nmse):
    # three chunks for validation: one more for the first process
    one, two = ({"training.num_drops": 375, "training.devices": devices, "training.num_epochs": 20}
                for devices in (1, 2))
    alone, shared = train(toy(one, "one")), train(toy(two, "two"))
    assert alone.name == shared.name
    assert len({(folder / "weights.safetensors").read_bytes() for folder in (alone, shared)}) == 2
    assert about(shared)["record"]["steps"] == about(alone)["record"]["steps"]
    scenario = toy(two, "two")
    assert validation_nmse(scenario) == pytest.approx(about(shared)["validation_nmse"], rel=1e-5)
    assert about(shared)["validation_nmse"] == pytest.approx(about(alone)["validation_nmse"], rel=0.1)
    with pytest.raises(LinksimError, match=r"method 'line': 20 drops per step do not fit the memory"):
        train(toy({"methods.line.predictor.trouble": "memory", "training.devices": 2}))
    with pytest.raises(NumericalError, match=r"the training loss is not finite in epoch 2, .* \(epoch 1, .* dB\)"):
        train(toy({**two, "methods.line.predictor.trouble": "nan"}))


@pytest.mark.slow
def test_the_average_of_two_processes_is_one_and_costs_are_those_of_both(toy, train, about, curve, validation_nmse):
    # statistics of normalisations are each process's own
    scenario = toy({"training.num_drops": 375, "training.devices": 2, "training.num_epochs": 4,
                    "training.weight_averaging": 0.3, "methods.line.predictor.level": True})
    folder = train(scenario)
    assert validation_nmse(scenario) == pytest.approx(about(folder)["validation_nmse"], rel=1e-5)
    assert curve(folder).drops_seen.tolist() == [300, 600, 900, 1200]
    assert about(folder)["record"]["drops_seen"] == 1200
    assert about(folder)["record"]["cpu_s"] >= curve(folder).cpu_s.iloc[-1] > 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_they_end_with_the_one_that_started_them(toy, tmp_path, wait_for, how):
    scenario = tmp_path / "shared.yaml"
    endless = toy({"training.devices": 2, "training.num_epochs": 100_000, "training.patience": 0})
    scenario.write_text(endless.model_dump_json(exclude_none=True, exclude_defaults=True))
    with subprocess.Popen([sys.executable, "-m", "linksim.cli", "train", str(scenario)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for(process, lambda: list(tmp_path.glob("checkpoints/line-*/logs/*")))
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 2
        getattr(process, how)()
        _, left = psutil.wait_procs(children, timeout=20)
        assert not left
        if how == "terminate":
            assert process.communicate(timeout=60)[1] == "interrupted: run the same command to go on\n"
            assert process.returncode == 130
    assert next(tmp_path.glob("checkpoints/line-*/resume/plan.json")).is_file()
