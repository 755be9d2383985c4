"""``linksim dataset``: whole files or none, with a manifest; other people's sizes and formats refused in one line."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import threading

import h5py
import numpy as np
import pytest
from rich.console import Console
from scipy.io import loadmat

from linksim.channel.files import writing
from linksim.experiment import dataset
from linksim.loading.load import load_scenario
from linksim.training.data import training_conditions


@pytest.fixture
def written(command, scenario_file, tmp_path):
    def written(*arguments, changes=None, name="out.h5", drops=4):
        return command("dataset", scenario_file(changes), "--num-drops", drops, "--out", tmp_path / name, *arguments)

    return written


def test_a_file_and_its_manifest(written, tmp_path):
    outcome = written("--set", "channel.num_users=2", drops=5, changes={"sweep": {"channel.speed_kmh": [3, 30]}})
    assert outcome.code == 0, outcome.err
    assert "10/10 drops" in outcome.out
    assert outcome.out.rstrip().endswith(f"written:\n  {tmp_path / 'out.h5'}\n  {tmp_path / 'out.h5.manifest.json'}")
    manifest = json.loads((tmp_path / "out.h5.manifest.json").read_text())
    assert manifest["file"]["sha256"] == hashlib.sha256((tmp_path / "out.h5").read_bytes()).hexdigest()
    assert manifest["scenario"]["channel"]["num_users"] == 2
    assert {"linksim", "torch", "sionna"} <= set(manifest["versions"])
    assert [manifest[key] for key in ("split", "layout", "seed", "chunk_size")] == ["test", "linksim", 1, 2]
    assert manifest["points"] == [{"speed_kmh": 3.0}, {"speed_kmh": 30.0}]
    with h5py.File(tmp_path / "out.h5") as file:
        for name, about in manifest["keys"].items():
            assert list(file[name].shape) == about["shape"]
            assert about["meaning"]
    assert manifest["keys"]["history/time_s"]["unit"] == "s"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "out.h5.manifest.json", "small.yaml"]


def test_nothing_is_overwritten_unasked(written, tmp_path):
    assert written().code == 0
    before = (tmp_path / "out.h5").read_bytes()
    outcome = written(changes={"seed": 2})
    assert outcome.code == 2
    assert outcome.line == f"error: --out {tmp_path / 'out.h5'}: exists; --overwrite replaces it"
    assert (tmp_path / "out.h5").read_bytes() == before
    assert written("--overwrite", changes={"seed": 2}).code == 0
    assert (tmp_path / "out.h5").read_bytes() != before


@pytest.mark.parametrize(("arguments", "name", "words"), [
    ((), "out.csv", "must end in one of .h5, .hdf5, .npz, .mat"),
    (("--layout", "llm4cp"), "out.mat", "name a folder"),
    (("--split", "train"), "out.h5", "invalid choice: 'train'"),
    (("--set", "channel.speed_kmh=900"), "out.h5", "at most 500"),
    (("--layout", "llm4cp", "--set", "channel.ue_array.num_antennas=2"), "out", "no axis for terminal antennas"),
])
def test_bad_input_is_one_line_and_writes_nothing(arguments, name, words, written, tmp_path):
    outcome = written(*arguments, name=name)
    assert outcome.code == 2
    assert words in outcome.line
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_drops_are_needed_and_folders_of_others_are_left_alone(command, scenario_file, written, tmp_path):
    path = scenario_file()
    assert "--num-drops" in command("dataset", path, "--out", "x.h5").line
    assert "not a positive whole number" in command("dataset", path, "--num-drops", "0", "--out", "x.h5").line
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert "is a folder" in written("--layout", "llm4cp", "--overwrite", name="mine").line
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_an_interruption_leaves_no_file(written, tmp_path, monkeypatch):
    chunk_of_drops = dataset.chunk_of_drops

    def interrupted(channel, size, seed, chunk, device):
        if chunk == 1:
            raise KeyboardInterrupt
        return chunk_of_drops(channel, size, seed, chunk, device)

    monkeypatch.setattr(dataset, "chunk_of_drops", interrupted)
    outcome = written()
    assert outcome.code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


FULL = ["--set", "channel.num_subcarriers=256"]


@pytest.mark.parametrize("name", ["out.h5", "out.npz", "out.mat", "out"])
def test_a_full_disk_is_one_line_and_leaves_nothing(name, written, tmp_path):
    layout = ["--layout", "llm4cp"] * (name == "out")
    opened = h5py.h5f.get_obj_count(types=h5py.h5f.OBJ_FILE)  # by others in this process
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, most))
    try:
        outcome = written(*FULL, *layout, name=name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert outcome.code == 2
    assert outcome.line == f"error: {tmp_path / name}: cannot write: file too large"
    # HDF5 takes the process down at its end where it cannot write what is open
    assert h5py.h5f.get_obj_count(types=h5py.h5f.OBJ_FILE) <= opened
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("--overwrite",), 0)])
def test_two_at_once_the_second_waits_and_the_first_is_whole(arguments, code, scenario_file, command, tmp_path,
                                                             monkeypatch):
    path, out = scenario_file(), tmp_path / "out.h5"
    begun, waiting = threading.Event(), threading.Event()
    write, held, outcomes = dataset._write, dataset.held, {}

    def slowly(*given):
        begun.set()
        waiting.wait(20)
        return write(*given)

    def told(lock, what, say, **choices):
        def heard(text):
            say(text)
            waiting.set()
        return held(lock, what, heard, **choices)

    def first():
        try:
            outcomes["first"] = dataset.write_dataset(load_scenario(path), out, dataset.Export(2), "cpu", Console())
        except Exception as error:
            outcomes["first"] = error

    monkeypatch.setattr(dataset, "_write", slowly)
    monkeypatch.setattr(dataset, "held", told)
    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(20)
    outcome = command("dataset", path, "--num-drops", 2, "--out", out, *arguments)
    thread.join()
    assert outcomes["first"] == [out, tmp_path / "out.h5.manifest.json"]
    assert outcome.code == code
    assert f"waiting for another process that writes {out}" in outcome.out.replace("\n", " ")
    if code:
        assert outcome.line == (f"error: --out {out}: exists: another process has written it meanwhile; --overwrite "
                                "replaces it")
    manifest = json.loads((tmp_path / "out.h5.manifest.json").read_text())
    assert manifest["file"]["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["out.h5", "out.h5.manifest.json", "small.yaml"]


class Killed(BaseException):
    """Stands for the end of a process: nothing is cleared."""


@pytest.mark.parametrize("name", ["out.h5", "out"])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("step", range(4))
def test_a_kill_blocks_no_later_command_and_loses_no_finished_set(step, there, name, written, tmp_path, monkeypatch):
    layout = ["--layout", "llm4cp"] * (name == "out")
    if there:
        assert written(*layout, name=name).code == 0
    replace, count = os.replace, []

    def killed(*given):
        count.append(given)
        if len(count) > step:
            raise Killed
        return replace(*given)

    with monkeypatch.context() as patch:
        patch.setattr(dataset.os, "replace", killed)
        patch.setattr(dataset.Place, "_clear", lambda self: None)
        try:
            written(*layout, "--overwrite", name=name, changes={"seed": 2})
        except Killed:
            assert (tmp_path / name).exists() >= (there and name == "out.h5")
    outcome = written(*layout, name=name, changes={"seed": 2})
    assert outcome.code == 0 or "exists; --overwrite replaces it" in outcome.line
    # a set that is there was there before, or was whole when the kill came
    manifest = json.loads((tmp_path / f"{name}.manifest.json").read_text())
    assert manifest["seed"] == 1 or not there or step
    files = manifest["file"]["files"] if name == "out" else {"": manifest["file"]["sha256"]}
    for file, digest in files.items():
        assert hashlib.sha256((tmp_path / name / file).read_bytes()).hexdigest() == digest
    assert written(*layout, "--overwrite", name=name).code == 0
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.manifest.json", "small.yaml"}


def test_only_what_the_command_wrote_is_replaced(written, tmp_path):
    layout = ["--layout", "llm4cp"]
    assert written(*layout, name="set").code == 0
    (tmp_path / "set" / "notes.txt").write_text("mine")
    (tmp_path / "set.tmp").mkdir()
    (tmp_path / "out.tmp.h5").write_text("mine too")
    outcome = written(*layout, "--overwrite", name="set")
    assert outcome.code == 2
    assert "holds notes.txt, which this command did not write: move it" in outcome.line
    (tmp_path / "set" / "notes.txt").unlink()
    assert written(*layout, "--overwrite", name="set").code == 0
    assert written(name="out.h5").code == 0
    assert (tmp_path / "set.tmp").is_dir()
    assert (tmp_path / "out.tmp.h5").read_text() == "mine too"


def test_a_disk_that_cannot_be_written_is_one_line(written, tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    outcome = written(name="taken/out.h5")
    assert outcome.code == 2
    assert "cannot write" in outcome.line


def test_a_matlab_variable_of_two_gib_is_refused_before_the_work(written, monkeypatch, tmp_path):
    monkeypatch.setattr(writing, "MATLAB_LIMIT_BYTES", 1000)
    calls = []
    chunk_of_drops = dataset.chunk_of_drops
    monkeypatch.setattr(dataset, "chunk_of_drops", lambda *given: calls.append(given) or chunk_of_drops(*given))
    outcome = written(name="out.mat", drops=100)
    assert outcome.code == 2
    assert "smaller than 2 GiB: write .h5, or fewer drops" in outcome.line
    assert len(calls) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_matlab_finds_plain_names(written, tmp_path):
    assert written(name="out.mat").code == 0
    arrays = loadmat(tmp_path / "out.mat")
    assert arrays["history_h"].shape == (4, 1, 1, 2, 4, 8)
    assert np.iscomplexobj(arrays["future_h"])
    assert arrays["rays_bs_direction"].shape[:2] == (4, 1)


def test_sizes_that_differ_between_points_are_one_line(written, tmp_path):
    outcome = written(changes={"sweep": {"channel.num_users": [1, 2]}})
    assert outcome.code == 2
    assert "history/h: its shape" in outcome.line
    assert "differs between the sweep's channel points" in outcome.line
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


@pytest.mark.parametrize("sweep", [{"channel.los": ["los", "nlos", "mixed"]}, {"channel.model": ["uma", "umi"]}])
def test_rays_of_different_kinds_fit_one_file_or_say_so(sweep, written, tmp_path):
    outcome = written(changes={"sweep": sweep})
    if outcome.code:
        assert "--no-rays" in outcome.line
        assert written("--no-rays", changes={"sweep": sweep}).code == 0
    with h5py.File(tmp_path / "out.h5") as file:
        assert len(file["history/h"]) == 4 * len(next(iter(sweep.values())))


def test_training_drops_are_those_of_training_in_its_order(written, tmp_path):
    from linksim.training.data import training_batches

    changes = {"sweep": {"channel.speed_kmh": [3, 60], "link.snr_db": [0, 10]}, "channel.num_users": 2,
               "methods": ["ridge"]}
    outcome = written("--split", "training", changes=changes, drops=40)
    assert outcome.code == 0, outcome.err
    scenario = load_scenario(tmp_path / "small.yaml")
    assert len(training_conditions(scenario)) == 2
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["history/h"].shape[:2] == (80, 1)  # one user, 40 for each speed
        assert file["swept/speed_kmh"][[0, 25, 50, 75]].tolist() == [3, 60, 3, 60]
        for chunk, (batch, _) in zip(range(3), training_batches(scenario)):
            part = slice(25 * chunk, 25 * chunk + 25)
            np.testing.assert_array_equal(file["future/h"][part], batch.future.h.numpy())


def test_a_foreign_file_can_be_converted(written, command, scenario_file, tmp_path):
    rng = np.random.default_rng(0)
    a = (rng.normal(size=(6, 1, 1, 1, 2, 3, 6)) + 1j * rng.normal(size=(6, 1, 1, 1, 2, 3, 6))).astype(np.complex64)
    np.savez(tmp_path / "cir.npz", a=a, tau=rng.uniform(0, 1e-6, (6, 1, 1, 3)))
    channel = {"source": "files", "files": {"path": "cir.npz"}, "carrier_frequency_ghz": 3, "csi_period_ms": 1,
               "duplex": "fdd_adjacent", "num_subcarriers": 8, "num_history": 4, "num_future": 2,
               "bs_array": {"rows": 1, "columns": 2, "polarization": "single"}}
    outcome = written("--set", "run.chunk_size=4", changes={"channel": channel, "bounds": []}, drops=6)
    assert outcome.code == 0, outcome.err
    metrics = {}
    for name, section in {"cir": channel, "h5": {"source": "files", "files": {"path": "out.h5"}}}.items():
        path = scenario_file({"channel": section, "bounds": []}, name=f"{name}.yaml")
        assert command("run", path, "--output", tmp_path / name).code == 0
        metrics[name] = (tmp_path / name / "metrics.csv").read_bytes()
    assert metrics["cir"] == metrics["h5"]
