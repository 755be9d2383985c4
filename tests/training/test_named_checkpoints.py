"""A codec's checkpoint that the file names is used, whatever it was trained on; what differs is said."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console

from linksim import load_scenario
from linksim.core.errors import ScenarioError
from linksim.training.checkpoint import read_weights
from linksim.training.preparation import check_parts, prepare_parts
from linksim.training.report_errors import load_report_errors

QUIET = Console(quiet=True)
CODECS = {"fitted": {"type": "klt"}, "trained": {"type": "idasnet", "num_values": 12, "delay_window": 8}}


@pytest.fixture
def file(scenario_file, tmp_path):
    """A scenario file of some methods; its checkpoints go to a folder of its own."""
    def file(name, *methods, **changes):
        return scenario_file({
            "methods": list(methods), "bounds": [], "metrics": ["nmse_db"], "feedback.bits": 400,
            "training.num_drops": 250, "training.num_epochs": 2, "training.batch_drops": 50,
            "training.folder": str(tmp_path / f"{name} kept"), **changes}, f"{name}.yaml")

    return file


@pytest.fixture
def elsewhere(file, tmp_path):
    """Make a codec for channels without line of sight; returns its folder, which nobody would find."""
    def elsewhere(codec):
        prepare_parts(load_scenario(file("there", {"name": "there", "feedback": codec}, **{"channel.los": "nlos"})),
                      "cpu", QUIET)
        (folder,) = (tmp_path / "there kept").iterdir()
        return folder.rename(tmp_path / "given")

    return elsewhere


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_it_is_used_from_where_the_file_stands(codec, file, elsewhere, part, command, tmp_path):
    folder = elsewhere(codec)
    path = file("here", {"name": "m", "feedback": {**codec, "checkpoint": "given"}})
    here = load_scenario(path)
    (line,) = prepare_parts(here, "cpu", QUIET)
    assert line == (f"codec of m: loaded from {folder} as given, which was trained otherwise: channel.los nlos there, "
                    "mixed here")
    assert not (tmp_path / "here kept").exists()
    loaded, given = part(here, 0, "feedback").load().saved_state(), read_weights(folder)
    assert all(torch.equal(tensor, given[name]) for name, tensor in loaded.items())

    own = file("own", {"name": "m", "feedback": codec})
    for scenario, name in ((path, "here"), (own, "own")):
        assert command("run", scenario, "--output", tmp_path / name).code == 0
    first, second = ((tmp_path / name / "metrics.csv").read_bytes() for name in ("here", "own"))
    assert first != second


def test_one_of_another_codec_is_refused(file, elsewhere):
    elsewhere(CODECS["trained"])
    here = load_scenario(file("here", {"name": "m", "feedback": {"type": "klt", "checkpoint": "given"}}))
    with pytest.raises(ScenarioError, match=r"method 'm': the checkpoint .*given does not fit: block idasnet there"):
        check_parts(here, "cpu")


def test_predictors_are_told_the_error_of_the_codec_in_use(file, elsewhere):
    elsewhere({"type": "klt"})
    here = load_scenario(file("here", {"name": "own", "predictor": "wiener", "feedback": "klt"},
                              {"name": "m", "predictor": "wiener", "feedback": {"type": "klt", "checkpoint": "given"}},
                              **{"channel.duplex": "tdd"}))
    prepare_parts(here, "cpu", QUIET)
    own, given = load_report_errors(here).values()
    assert own != given
