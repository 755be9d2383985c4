"""The shared trainer: it learns, in the same way every time, and every way to fail is one line."""

from __future__ import annotations

import errno
import math
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from linksim.core.errors import LinksimError, NumericalError, ScenarioError, StoreError
from linksim.experiment.run import run
from linksim.training import loop
from linksim.training.data import selected, training_batches
from linksim.training.minibatches import EpochPlan, Minibatches
from linksim.training.preparation import prepare_parts
from linksim.training.status import training_status


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def test_it_learns_what_ridge_regression_finds(toy, train, validation_nmse):
    # the same function: one filter over time for every bin, whatever its SNR and the speed
    methods = [{"name": "ridge", "predictor": {"type": "ridge", "num_snr_classes": 1, "speed_order": 0}},
               {"name": "line", "predictor": "line"}]
    scenario = toy({"methods": methods, "training.num_epochs": 30})
    train(scenario)
    ridge_db, line_db = (10 * math.log10(validation_nmse(scenario, method)) for method in (0, 1))
    assert line_db < -6
    assert abs(line_db - ridge_db) < 0.5


def test_it_is_adamw_on_the_minibatches_with_clipped_gradients_and_a_cosine(toy, train, part):
    scenario = toy({"sweep": {"channel.speed_kmh": [10, 60]}, "training.num_drops": 500, "training.gradient_clip": 0.1,
                    "training.weight_decay": 0.01, "training.warmup": 0.2, "training.patience": 0})
    line = part(scenario)
    block, drops = line.untrained(), line.drops("cpu")
    plan = EpochPlan([chunk for chunk in drops.chunks if not chunk.validation], line.training)
    minibatches = Minibatches(drops, plan)
    optimizer = torch.optim.AdamW(block.parameters(), 0.03, weight_decay=0.01)
    step, best = 0, (math.inf, None)
    for epoch in range(6):
        for minibatch in minibatches.epoch(epoch):
            for group in optimizer.param_groups:
                group["lr"] = 0.03 * min((step + 1) / 24, 0.5 + 0.5 * math.cos(math.pi * max(0, step - 24) / 96))
            optimizer.zero_grad()
            (batch,) = minibatch.parts
            block.training_loss(batch).backward()
            torch.nn.utils.clip_grad_norm_(block.parameters(), 0.1)
            optimizer.step()
            step += 1
        errors = [[], []]
        with torch.no_grad():
            for item in minibatches.validation():
                errors[item.condition].append(block.validation_errors(item.batch))
        nmse = float(sum(torch.cat(some).double().mean() for some in errors)) / 2
        best = min(best, (nmse, block.over_time.weight.detach().clone()), key=lambda one: one[0])
    assert step == 120
    train(scenario)
    torch.testing.assert_close(part(scenario).load().over_time.weight.detach(), best[1])


def test_seeds_decide_the_weights_and_global_random_numbers_are_left_alone(toy, train):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    first = train(toy({"methods.line.predictor.dropout": 0.1}))
    assert torch.equal(torch.rand(2), expected)
    assert torch.get_num_threads() == threads
    assert weights(train(toy({"methods.line.predictor.dropout": 0.1}, "again"))) == weights(first)
    for field in ("seed", "weights_seed"):
        assert weights(train(toy({"methods.line.predictor.dropout": 0.1, f"training.{field}": 1}))) != weights(first)


def test_a_checkpoint_is_used_again_and_holds_the_best_epoch(toy, train, about, validation_nmse):
    scenario = toy()
    folder = train(scenario)
    assert prepare_parts(scenario, "cpu", Console(quiet=True)) == [f"line: loaded from {folder}"]
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock", "about.json", "learning_curve.csv", "logs", "weights.safetensors"]
    assert validation_nmse(scenario) == pytest.approx(about(folder)["validation_nmse"], rel=1e-5)


def test_permuting_and_splitting_a_batch_changes_nothing_in_evaluation(toy, train, part):
    scenario = toy({"methods.line.predictor.dropout": 0.5})
    train(scenario)
    block = part(scenario).load()
    batch, _ = next(training_batches(scenario))
    order = torch.randperm(25)
    errors = block.validation_errors(batch)
    torch.testing.assert_close(block.validation_errors(selected(batch, order)), errors[order])
    torch.testing.assert_close(block.validation_errors(selected(batch, slice(3, 4))), errors[3:4])


def test_training_stops_when_validation_gets_no_better(toy, train, about):
    # steps so large that the first epochs are the best
    folder = train(toy({"training.num_epochs": 40, "training.patience": 2, "training.learning_rate": 2.0,
                        "training.schedule": "constant"}))
    record = about(folder)["record"]
    assert record["epochs"] == record["best_epoch"] + 2 < 40


def test_the_budget_shortens_the_schedule_and_ends_the_training(toy, train, about):
    began = time.monotonic()
    folder = train(toy({"methods.line.predictor.trouble": "slow", "training.num_epochs": 1000,
                        "training.max_minutes": 0.03}))
    record = about(folder)["record"]
    assert record["epochs_planned"] < 100
    assert 0 < record["seconds"] < 4
    assert time.monotonic() - began < 20


def test_validation_of_each_condition_is_logged(toy, train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train(toy({"sweep": {"channel.speed_kmh": [10, 60]}, "training.num_epochs": 3}))
    events = EventAccumulator(str(folder / "logs")).Reload()
    for tag in ("training_loss", "validation_nmse_db", "validation_nmse_db/speed_kmh 10.0",
                "validation_nmse_db/speed_kmh 60.0"):
        assert events.Scalars(tag)
    assert len(events.Scalars("validation_nmse_db")) == 3
    assert [event.value for event in events.Scalars("drops_seen")] == [400, 800, 1200]
    assert all(event.value > 0 for event in events.Scalars("cpu_s"))


def test_what_it_cost_and_how_it_went_stand_beside_the_weights(toy, about, curve, part):
    scenario = toy()
    (line,) = prepare_parts(scenario, "cpu", Console(quiet=True))
    folder = part(scenario).folder
    steps = curve(folder)
    record = about(folder)["record"]
    assert steps.step.tolist() == [10, 20, 30, 40, 50, 60]
    assert steps.drops_seen.tolist() == [200, 400, 600, 800, 1000, 1200]
    assert steps.cpu_s.is_monotonic_increasing
    assert 0 < steps.cpu_s.max() <= record["cpu_s"] + 0.1
    assert steps.validation_nmse.min() == pytest.approx(about(folder)["validation_nmse"], rel=1e-5)
    assert steps.validation_nmse.argmin() + 1 == record["best_epoch"]
    assert record["drops_seen"] == 1200
    assert re.search(r"trained in \d+ s \(in all \d+ s of CPU time, 1200 drops seen\), kept in ", line)


def test_a_loss_that_is_not_finite_names_the_step_and_leaves_the_best_weights(toy, train, part, about, tmp_path):
    scenario = toy({"methods.line.predictor.trouble": "nan", "methods.line.training.learning_rate": 1e-3})
    with pytest.raises(NumericalError, match=r"method 'line': the training loss is not finite in epoch 3, step \d+ "
                                             r"of 10; the best so far \(epoch 2, .* dB\) is kept in ") as error:
        train(scenario)
    kept = str(error.value).partition("kept in ")[2].partition(";")[0]
    assert about(tmp_path / kept)["validation_nmse"] < 1
    by_hand = toy({"methods.line.predictor": {"type": "line", "trouble": "nan", "checkpoint": kept}})
    assert part(by_hand).load().over_time.weight.isfinite().all()


def test_too_little_memory_says_which_batch_to_try(toy, train):
    with pytest.raises(LinksimError, match=r"method 'line': 20 drops per step do not fit the memory of cpu: try "
                                           r"training\.batch_drops=10"):
        train(toy({"methods.line.predictor.trouble": "memory"}))


def test_fewer_drops_than_a_step_takes_are_refused_before_anything_is_written(toy, tmp_path):
    scenario = toy({"training.fraction": 0.05})
    with pytest.raises(ScenarioError, match=r"method 'line': training\.batch_drops: 20 drops per step, but there are "
                                            r"10 training drops, of which training\.fraction 0\.05 .* use at most 10"):
        run(scenario, output=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_the_training_goes_on_from_what_was_kept(toy, train, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EPOCHS_EVERY_S", 0)
    whole = weights(train(toy(folder="whole")))
    write, kept = Path.write_bytes, []

    def full(self, content):
        if self.name == "state.ckpt.tmp":
            if len(kept) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            kept.append(self)
        return write(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StoreError, match=r"cannot write: no space left on device; set training\.folder"):
            train(toy())
    (state,) = (kept[0].parent.glob("state*"))
    assert torch.load(state, weights_only=True)["step"] == 20
    assert weights(train(toy())) == whole


@pytest.mark.parametrize("room", [100, 400])
def test_a_disk_too_full_for_logs_is_one_line(toy, train, room):
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    try:
        with pytest.raises(StoreError, match=r"checkpoints/line-\w+: cannot write: file too large; make room and run"):
            train(toy())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert train(toy()).is_dir()


def test_a_damaged_state_is_named(toy, train):
    folder = train(toy())
    (folder / "weights.safetensors").unlink()
    (folder / "resume").mkdir()
    (folder / "resume" / "state.ckpt").write_bytes(b"not a state")
    with pytest.raises(StoreError, match=r"resume/state\.ckpt: damaged or of another version .* to train anew"):
        train(toy())


def test_half_precision_learns_the_same_with_other_last_digits(toy, train, about):
    single, half = (train(toy({"training.precision": precision}, str(precision))) for precision in (32, "bf16-mixed"))
    assert weights(single) != weights(half)
    assert about(half)["validation_nmse"] == pytest.approx(about(single)["validation_nmse"], rel=0.05)


# --- killed and resumed -----------------------------------------------------------------------------------------

KEEPING = """
import sys
from linksim.training import loop
loop.SAVE_EPOCHS_EVERY_S, loop.SAVE_STEPS_EVERY_S = 0, float(sys.argv.pop(1))
from linksim.cli import main
sys.exit(main(sys.argv[1:]))
"""

DISTURBED = {"methods.line.predictor": {"type": "line", "trouble": "slow", "dropout": 0.1, "level": True},
             "training.weight_averaging": 0.3,
             "sweep": {"channel.speed_kmh": [10, 60]}, "training.num_drops": 500, "training.num_epochs": 4}


@pytest.fixture
def started(toy, tmp_path, wait_for):
    """`linksim train` of the disturbed scenario in a process of its own, which keeps its state at every epoch's end and
    after so many seconds; and the state's path, written twice at least."""
    def started(every_s, name):
        scenario = tmp_path / "killed.yaml"
        scenario.write_text(toy(DISTURBED, "killed").model_dump_json(exclude_none=True, exclude_defaults=True))
        process = subprocess.Popen(
            [sys.executable, "-c", KEEPING, str(every_s), "train", str(scenario)], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        state = tmp_path / "killed" / name / "resume" / "state.ckpt"
        wait_for(process, state.is_file)
        first = state.stat().st_mtime_ns
        wait_for(process, lambda: state.stat().st_mtime_ns > first)
        return process, state

    return started


@pytest.fixture
def goes_on_to_the_same(toy, capsys, curve, about):
    """Resume in this process, and compare; returns after how many steps it was resumed."""
    def goes_on_to_the_same(whole, state):
        before = torch.load(state, weights_only=True)
        assert 0 < before["step"] < 80
        prepare_parts(toy(DISTURBED, "killed"), "cpu", Console(width=200))
        assert "training line goes on from" in capsys.readouterr().out
        folder = state.parents[1]
        assert weights(folder) == weights(whole)
        assert not state.parent.exists()
        assert curve(folder).drop(columns="cpu_s").equals(curve(whole).drop(columns="cpu_s"))
        assert curve(folder).cpu_s.is_monotonic_increasing, "that before is included"
        assert before["cpu_s"] < about(folder)["record"]["cpu_s"]
        return before["step"]

    return goes_on_to_the_same


def test_a_killed_training_goes_on_to_the_very_weights_it_would_have_had(toy, train, started, goes_on_to_the_same):
    folder = train(toy(DISTURBED, "whole"))
    process, state = started(0, folder.name)
    while torch.load(state, weights_only=True)["step"] % 20 < 2:  # not at the end of an epoch
        time.sleep(0.01)
    assert training_status(toy(DISTURBED, "killed"))[0].startswith("line: in training: step ")
    process.kill()
    process.communicate()
    assert training_status(toy(DISTURBED, "killed"))[0].startswith("line: interrupted ")
    assert goes_on_to_the_same(folder, state) % 20


@pytest.mark.slow
def test_so_does_one_that_was_interrupted_within_an_epoch(toy, train, started, goes_on_to_the_same):
    folder = train(toy(DISTURBED, "whole"))
    process, state = started(1000, folder.name)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted: run the same command to go on\n")
    assert goes_on_to_the_same(folder, state) % 20 == 0
