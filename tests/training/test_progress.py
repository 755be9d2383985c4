"""What is told of a training: a bar on a terminal, a stage for the heartbeat elsewhere, nothing on a quiet console; and
a file on each of them.
"""

import io
import math
import re
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from linksim.core import heartbeat
from linksim.scenario.training import Training
from linksim.training import progress
from linksim.training.progress import CurvePoint, EventLog, TrainingProgress, read_standing, to_db, write_curve
from linksim.training.schedule import Schedule


@pytest.fixture
def told(tmp_path):
    """What is on the console and what the heartbeat would say, after eight of twenty steps; and what was kept."""
    def told(nmse=0.1, best=0.01, **options):
        console = Console(file=io.StringIO(), width=120, **options)
        with TrainingProgress(console, "GRU [a]", Schedule(Training(), 4, 5), 0, tmp_path) as progress:
            progress._began -= 80
            progress.tell(8, math.inf, nmse, best)
            stages = list(map(str, heartbeat._stages))
        return console.file.getvalue(), stages, read_standing(tmp_path)

    return told


@pytest.fixture(autouse=True)
def resume(tmp_path):
    """The folder that a training keeps its state in."""
    (tmp_path / "resume").mkdir()
    return tmp_path / "resume"


def test_a_terminal_has_a_bar(told):
    shown, stages, _ = told(force_terminal=True)
    assert not stages
    assert "training GRU [a]" in shown
    assert "epoch 2/4" in shown
    assert "validation -10.00 dB (best -20.00)" in shown


def test_without_a_terminal_the_heartbeat_knows_how_far_it_is_and_when_it_will_be_done(told):
    shown, (stage,), _ = told()
    assert not shown
    until = datetime.now() + timedelta(minutes=2)
    found = re.fullmatch(
        r"training GRU \[a\]: step 8/20   epoch 2/4   at most 2 min left, until (?:\w{3} )?(\d\d):(\d\d)   "
        r"validation -10\.00 dB \(best -20\.00\)   0\.1 steps/s", stage)
    minutes = (int(found[1]) - until.hour) * 60 + int(found[2]) - until.minute
    assert (minutes + 1) % 1440 <= 2


def test_a_quiet_console_is_told_nothing(told):
    assert told(quiet=True, force_terminal=True)[:2] == ("", [])


def test_whoever_asks_finds_the_same_in_a_file(told):
    *_, kept = told(quiet=True)
    assert (kept.step, kept.num_steps, kept.epoch, kept.num_epochs) == (8, 20, 2, 4)
    assert (kept.validation_nmse, kept.best_validation_nmse) == (0.1, 0.01)
    assert (kept.done_at - kept.told_at).total_seconds() == pytest.approx(120, rel=0.01)
    assert 0 <= (datetime.now().astimezone() - kept.told_at).total_seconds() < 60


def test_before_the_first_validation_none_is_told_and_before_that_of_a_stage_no_best_one(told):
    _, (stage,), kept = told(nmse=None, best=math.inf)
    assert "validation" not in stage
    assert kept.validation_nmse is None
    assert "validation -10.00 dB   " in told(nmse=0.1, best=math.inf)[1][0]


def test_the_file_is_whole_and_not_written_at_every_step(tmp_path, resume, monkeypatch):
    written = []
    monkeypatch.setattr(progress, "write_whole", lambda path, write: written.append(path.name))
    with TrainingProgress(Console(quiet=True), "GRU", Schedule(Training(), 4, 5), 0, tmp_path) as told:
        for step in range(1, 20):
            told.tell(step, math.inf, None, math.inf)
        told._kept_at -= 6
        told.tell(20, math.inf, None, math.inf)
    assert written == ["progress.json"] * 2


def test_a_file_that_cannot_be_written_ends_no_training(told, resume):
    resume.rmdir()
    assert told()[2] is None


def test_only_the_first_process_has_a_file(tmp_path, resume):
    with TrainingProgress(Console(quiet=True), "GRU", Schedule(Training(), 4, 5), 0, None) as told:
        told.tell(8, math.inf, 0.1, 0.01)
    assert list(resume.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'{"step": 1}', b"\xff\xfe", b"[" * 100_000],
                         ids=range(7))
def test_a_damaged_file_tells_nothing(content, tmp_path, resume):
    (resume / "progress.json").write_bytes(content)
    assert read_standing(tmp_path) is None


def test_a_training_of_centuries_is_told_as_well(told, tmp_path):
    with TrainingProgress(Console(quiet=True), "GRU", Schedule(Training(), 10**6, 10**6), 0, tmp_path) as progress:
        progress.tell(1, math.inf, None, math.inf)
    assert read_standing(tmp_path).num_steps == 10**12


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


def test_a_learning_curve_is_written_whole(tmp_path):
    path = tmp_path / "learning_curve.csv"
    points = [CurvePoint(10, 200, 1.23, 0.5), CurvePoint(20, 400, 2.5, 1 / 3)]
    for curve in (points[:1], points):
        write_curve(path, curve)
    assert path.read_text(encoding="utf-8") == \
        "step,drops_seen,cpu_s,validation_nmse\n10,200,1.2,0.5\n20,400,2.5,0.333333\n"
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["learning_curve.csv"]
