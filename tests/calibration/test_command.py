"""`linksim calibrate` on the command line, with the drawing taken out."""

from types import SimpleNamespace

import pytest

from linksim.calibration import run


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for; the study fails when ``asked.passed`` is set to False."""
    asked = SimpleNamespace(passed=True)

    def calibrate(folder, drops, seed, console):
        asked.folder, asked.drops, asked.seed = folder, drops, seed
        return SimpleNamespace(passed=asked.passed)

    monkeypatch.setattr(run, "calibrate", calibrate)
    return asked


def test_options(command, asked, tmp_path):
    assert command("calibrate", "--out", tmp_path, "--drops", 4, "--seed", 9).code == 0
    assert (asked.folder, asked.drops, asked.seed) == (tmp_path, 4, 9)
    assert command("calibrate", "--quick").out.strip() == "docs/calibration/README.md"
    assert (asked.drops, asked.seed) == (run.QUICK_DROPS, 1)
    command("calibrate")
    assert asked.drops == run.DEFAULT_DROPS


def test_disagreement_is_an_exit_code(command, asked):
    asked.passed = False
    outcome = command("calibrate", "--quick")
    assert outcome.code == 1
    assert outcome.line.startswith("error:")


@pytest.mark.parametrize("arguments", [("--drops", 0), ("--drops", 2, "--quick"), ("--seed", "x")])
def test_bad_input(command, asked, arguments):
    outcome = command("calibrate", *arguments)
    assert outcome.code == 2
    assert outcome.line.startswith("error:")
