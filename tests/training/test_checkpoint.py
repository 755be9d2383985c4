"""A checkpoint is made by one process at a time: the others wait, say so, and use what it made or take over.
Checkpoints: used when they match, never otherwise; training drops are not test drops.
"""

from __future__ import annotations

import errno
import json
import re
import threading
from pathlib import Path

import pytest
import torch
from rich.console import Console

from linksim.core.errors import StoreError
from linksim.core.seeding import generator
from linksim.experiment.plan import make_plan, unit_seed
from linksim.loading.load import scenario_from_dict
from linksim.metrics import nmse
from linksim.nr.acquisition import acquire
from linksim.training import checkpoint as folder_module
from linksim.training.checkpoint import making, written_whole
from linksim.training.data import training_batches, training_conditions
from linksim.training.preparation import prepare_parts

RIDGE = {"methods": [{"name": "ridge", "predictor": {"type": "ridge", "num_snr_classes": 1}}]}


class Other:
    """Holds a checkpoint's folder from another thread, until somebody waits for it."""

    def __init__(self, folder: Path, monkeypatch, before_leaving):
        self.folder = folder
        self.has, self.is_awaited = threading.Event(), threading.Event()
        held = folder_module.held

        def heard(lock, what, say, **choices):
            def told(text):
                say(text)
                self.is_awaited.set()
            return held(lock, what, told, **choices)

        def hold():
            folder.mkdir(parents=True, exist_ok=True)
            with held(folder / ".lock", "trains"):
                self.has.set()
                assert self.is_awaited.wait(30)
                before_leaving()

        monkeypatch.setattr(folder_module, "held", heard)
        self.thread = threading.Thread(target=hold)

    def __enter__(self):
        self.thread.start()
        assert self.has.wait(30)

    def __exit__(self, *_):
        self.thread.join()


@pytest.mark.parametrize("changes", [{}, RIDGE], ids=["by gradients", "in closed form"])
@pytest.mark.parametrize("finishes", [True, False])
def test_who_finds_another_process_training_waits_and_goes_on(finishes, changes, toy, train, part, monkeypatch, capsys):
    scenario = toy({**changes, "training.num_epochs": 1})
    folder = train(scenario)
    weights = folder / "weights.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    with Other(folder, monkeypatch, lambda: weights.write_bytes(content) if finishes else None):
        (line,) = prepare_parts(scenario, "cpu", Console(width=300))
    assert f"waiting for another process that trains {folder} (for " in capsys.readouterr().out
    name, made = scenario.methods[0].name, part(scenario).verb
    if finishes:
        assert line == f"{name}: loaded from {folder}, {made} by another process meanwhile"
    else:
        assert line.startswith(f"{name}: {made} in ")
    assert weights.read_bytes() == content


def test_a_file_that_could_not_be_written_leaves_the_old_one_alone(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(StoreError, match="cannot write"), written_whole(path) as waiting:
        _half_written(waiting)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def _half_written(path):
    path.write_text("half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write: .*; set training\.folder"), \
            making(tmp_path / "taken" / "gru", Console(quiet=True)):
        raise AssertionError


CONSOLE = Console(quiet=True)


def scenario(folder, domain="angle_delay", **channel):
    return scenario_from_dict({
        "channel": {"num_subcarriers": 8, "num_history": 8, "num_future": 2,
                    "bs_array": {"rows": 2, "columns": 2}, **channel},
        "methods": [{"name": "ridge", "predictor": {"type": "ridge", "domain": domain}}],
        "sweep": {"channel.speed_kmh": [10, 60]},
        "training": {"num_drops": 250, "folder": str(folder)},
    })


def test_a_matching_checkpoint_is_loaded_and_another_channel_is_fitted_anew(tmp_path):
    assert "fitted" in prepare_parts(scenario(tmp_path), "cpu", CONSOLE)[0]
    assert "loaded" in prepare_parts(scenario(tmp_path), "cpu", CONSOLE)[0]
    assert "fitted" in prepare_parts(scenario(tmp_path, los="nlos"), "cpu", CONSOLE)[0]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_kill_before_the_weights_are_written_leaves_no_checkpoint(tmp_path):
    prepare_parts(scenario(tmp_path), "cpu", CONSOLE)
    (folder,) = tmp_path.iterdir()
    (folder / "weights.safetensors").rename(folder / "weights.tmp")
    assert "fitted" in prepare_parts(scenario(tmp_path), "cpu", CONSOLE)[0]


def test_training_sees_every_speed_in_training_and_in_validation(tmp_path):
    case = scenario(tmp_path)
    assert [channel.speed_kmh for channel, _ in training_conditions(case)] == [10, 60]
    seen = {(round(float(batch.history.max_doppler_hz.max())), validation)
            for batch, validation in training_batches(case)}
    assert len(seen) == 4


def test_training_drops_are_never_test_drops(tmp_path):
    case = scenario(tmp_path)
    point = make_plan(case).channel_points[0]
    from linksim.channel.statistical.drops import draw_drops

    test = draw_drops(point.points[0][1].channel, 25, unit_seed(case, point, 0))
    for batch, _ in training_batches(case):
        inner = (batch.future.h[:, :1] - test.future.h[:, :1]).abs().flatten(1).amax(1)
        assert (inner > 1e-3).all()


def test_ridge_learns_ageing_and_beats_hold_in_both_domains(part, tmp_path):
    from linksim.channel.statistical.drops import draw_drops

    for domain in ("angle_delay", "antenna"):
        case = scenario(tmp_path, domain)
        prepare_parts(case, "cpu", CONSOLE)
        block = part(case).load()
        point = make_plan(case).channel_points[1]
        drops = draw_drops(point.points[0][1].channel, 40, 99)
        history, _ = acquire(drops.history, point.points[0][1].acquisition, generator(1))
        predicted = block.predict(history, drops.future.time_s, drops.future.frequency_hz)
        held = history.h[..., -1:, :].expand_as(drops.future.h)
        assert nmse(predicted.h, drops.future.h) < 0.5 * nmse(held, drops.future.h)


def test_ridge_output_never_depends_on_batch_neighbours_and_scales_with_the_channel(part, tmp_path):
    from dataclasses import replace

    case = scenario(tmp_path)
    prepare_parts(case, "cpu", CONSOLE)
    block = part(case).load()
    batch, _ = next(iter(training_batches(case)))
    whole = block.predict(batch.history, batch.future.time_s, batch.future.frequency_hz).h
    first = replace(batch.history, h=batch.history.h[:1], noise_variance=batch.history.noise_variance[:1],
                    max_doppler_hz=batch.history.max_doppler_hz[:1])
    alone = block.predict(first, batch.future.time_s, batch.future.frequency_hz).h
    torch.testing.assert_close(alone, whole[:1], rtol=1e-4, atol=1e-5)
    louder = replace(batch.history, h=3j * batch.history.h, noise_variance=9 * batch.history.noise_variance)
    torch.testing.assert_close(block.predict(louder, batch.future.time_s, batch.future.frequency_hz).h, 3j * whole,
                               rtol=1e-3, atol=1e-4)


# --- what cannot be made is found before anything is drawn or written ---------------------------------------------

@pytest.fixture
def taught(scenario_file, tmp_path):
    """A file with a small student of a small CSI-ALM, and a GRU whose training would come before theirs."""
    for name, kind in (("model", "gpt2"), ("other", "bert")):
        folder = tmp_path / name
        folder.mkdir()
        sizes = {"model_type": kind, "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 11, "n_positions": 32}
        (folder / "config.json").write_text(json.dumps(sizes))
    teacher = {"type": "csi_alm", "backbone": str(tmp_path / "model"), "weights": "random", "num_layers": 1,
               "num_words": 9, "num_anchors": 6, "num_heads": 4}
    student = {"type": "csi_alm_light", "width": 16, "num_relation_heads": 4}
    return scenario_file({"methods": [
        {"name": "GRU", "predictor": {"type": "gru", "hidden_size": 4}},
        {"name": "student", "predictor": student, "training": {"teacher": "ALM"}},
        {"name": "ALM", "predictor": teacher},
    ], "training": {"folder": str(tmp_path / "checkpoints"), "num_drops": 250, "num_epochs": 1, "batch_drops": 20}})


@pytest.mark.parametrize(("change", "line"), [
    ("ALM.predictor.backbone={tmp}/none", ".*methods.2.predictor: .*{tmp}/none.: no such folder, .*; give a folder"),
    ("ALM.predictor.backbone={tmp}/other", ".*methods.2.predictor: .*{tmp}/other.: its config.json cannot .*bert"),
    ("ALM.predictor.weights=pretrained", "method 'ALM': backbone '{tmp}/model': no model.safetensors in {tmp}/model"),
    ("ALM.predictor.num_layers=3", ".*methods.2.predictor: .*backbone '{tmp}/model' has 2 layers, but num_layers is 3"),
    ("ALM.predictor.num_prompts=7", ".*: num_prompts: 4, but its teacher 'ALM' has 7; .*: make them equal"),
    ("ALM.predictor.num_anchors=9", ".*methods.2.predictor: csi_alm: .* fewer anchors than words"),
    ("ALM.predictor.num_words=16", ".*methods.2.predictor: csi_alm: num_words: 15 principal words can be had"),
    ("ALM.predictor.num_heads=3", ".*methods.2.predictor: csi_alm: num_heads: 3 heads do not divide .* width 16"),
    ("student.predictor.num_heads=3", ".*methods.1.predictor: .*: num_heads: 3 heads do not divide width 16"),
    ("student.predictor.num_prompts=3", ".*methods.1.predictor: .*num_prompts: 3, but its teacher 'ALM' has 4"),
    ("student.predictor.num_relation_heads=5", ".*methods.1.predictor: .*num_relation_heads: 5 heads do not divide"),
    ("student.training.teacher=GRU", ".*methods.1.predictor: .*csi_alm_light learns from csi_alm alone.* is gru"),
    ("ALM.predictor.body=none", ".*methods.1.predictor: .*its teacher 'ALM' has body: none, so no attention"),
    ("student.predictor={{type: gru}}", "method 'student': predictor 'gru' cannot be taught: leave .* out"),
    ("GRU.training={{batch_drops: 300}}", "method 'GRU': training.batch_drops: 300 drops per step, but there are 200 "
                                         "training drops: use at most 200"),
], ids=lambda text: text.partition("=")[0] if "=" in text else "")
@pytest.mark.parametrize("action", ["run", "train"])
def test_what_cannot_be_made_is_one_line_before_anything_is_trained(action, change, line, taught, command, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    change, line = (text.format(tmp=tmp_path) for text in (change, line))
    output = ["--output", tmp_path / "out"] if action == "run" else []
    outcome = command(action, taught, "--set", f"methods.{change}", *output)
    assert outcome.code == 2
    assert re.match(f"error: {line}", outcome.line)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_checkpoint_is_found_before_the_run_begins(taught, command, tmp_path):
    assert command("train", taught, "--method", "GRU").code == 0
    (weights,) = (tmp_path / "checkpoints").rglob("weights.safetensors")
    weights.write_bytes(b"damaged")
    outcome = command("run", taught, "--output", tmp_path / "out")
    assert outcome.code == 2
    assert re.match(r"error: method 'GRU': .*weights\.safetensors: damaged .*; delete the folder", outcome.line)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_configuration_names_the_fields_and_is_left_as_it_is(taught, command, tmp_path):
    assert command("train", taught, "--method", "GRU").code == 0
    (folder,) = (tmp_path / "checkpoints").iterdir()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outcome = command("run", taught, "--checkpoint", f"GRU={folder}", "--set", "methods.GRU.predictor.hidden_size=5",
                      "--set", "channel.num_history=6", "--output", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.line == (f"error: method 'GRU': the checkpoint {folder} does not fit: options.hidden_size 4 there, "
                            "5 here; shape.num_history 4 there, 6 here")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "out").exists()


def test_the_header_comes_first_then_what_is_made_then_the_units(command, scenario_file, tmp_path):
    path = scenario_file({
        "methods": ["hold", {"name": "ridge", "predictor": {"type": "ridge", "num_snr_classes": 1}}], "bounds": [],
        "channel.num_history": 8, "training": {"num_drops": 250, "folder": str(tmp_path / "kept")}})
    first = command("run", path, "--output", tmp_path / "out").out
    parts = [f"ridge: no matching checkpoint in {tmp_path / 'kept'}: fitted first", "this process, 1 thread",
             "fitting ridge on 250 drops", "ridge: fitted in", "units"]
    first = " ".join(first.split())
    places = [first.index(part) for part in parts]
    assert places == sorted(places)
    again = " ".join(command("run", path, "--output", tmp_path / "again").out.split())
    assert again.count("ridge: loaded from") == 1
    assert again.index("ridge: loaded from") < again.index("this process, 1 thread")
