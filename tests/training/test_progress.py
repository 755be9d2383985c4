"""What is told of a training: a bar on a terminal, a stage for the heartbeat elsewhere, nothing on a quiet console."""

import io
import math

import pytest
from rich.console import Console

from linksim.core import heartbeat
from linksim.scenario.training import Training
from linksim.training.progress import EventLog, TrainingProgress, to_db
from linksim.training.schedule import Schedule


@pytest.fixture
def told():
    """What is on the console and what the heartbeat would say, after eight of twenty steps."""
    def told(**options):
        console = Console(file=io.StringIO(), width=120, **options)
        with TrainingProgress(console, "GRU [a]", Schedule(Training(), 4, 5), 0) as progress:
            progress.tell(8, math.inf, 0.1, 0.01)
            stages = list(map(str, heartbeat._stages))
        return console.file.getvalue(), stages

    return told


def test_a_terminal_has_a_bar(told):
    shown, stages = told(force_terminal=True)
    assert not stages
    assert "training GRU [a]" in shown
    assert "epoch 2/4" in shown
    assert "validation -10.00 dB (best -20.00)" in shown


def test_without_a_terminal_the_heartbeat_knows(told):
    shown, (stage,) = told()
    assert not shown
    assert stage.startswith("training GRU [a]: epoch 2/4   ")
    assert stage.endswith(" left")


def test_a_quiet_console_is_told_nothing(told):
    assert told(quiet=True, force_terminal=True) == ("", [])


def test_ratios_in_decibel():
    assert to_db(100) == pytest.approx(20)
    assert to_db(0) == -math.inf


def test_only_the_first_process_has_a_log(tmp_path):
    with EventLog(None) as log:
        log.add({"training_loss": 1.0}, 3)
    with EventLog(tmp_path / "logs") as log:
        log.add({"training_loss": 1.0}, 3)
    (path,) = (tmp_path / "logs").iterdir()
    assert b"training_loss" in path.read_bytes()
