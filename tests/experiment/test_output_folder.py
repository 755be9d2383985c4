"""The output folder: refused or kept whole, with one line that says why."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from linksim.results.store import Store

ADVICE = "use --output DIR"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != ".lock"}


@pytest.fixture
def finished(scenario_file, command, tmp_path):
    """A scenario file and the folder of its finished run."""
    path, folder = scenario_file(), tmp_path / "out"
    assert command("run", path, "--output", folder).code == 0
    return path, folder


def test_a_run_names_the_files_it_wrote(finished, command):
    path, folder = finished
    outcome = command("run", path, "--output", folder)
    assert outcome.code == 0
    for name in ("metrics.csv", "manifest.json"):
        assert str(folder / name) in outcome.out
    assert "(2 units)" in outcome.out


def test_a_folder_of_another_scenario_is_refused_and_kept(finished, scenario_file, command):
    _, folder = finished
    before = contents(folder)
    other = scenario_file({"seed": 2}, "other.yaml")
    outcome = command("run", other, "--output", folder)
    assert outcome.code == 2
    assert "another scenario" in outcome.line
    assert ADVICE in outcome.line
    assert "--fresh" in outcome.line
    assert contents(folder) == before
    assert command("run", other, "--output", folder, "--fresh").code == 0
    assert contents(folder) != before


def test_stopping_rule_and_texts_may_change_between_runs_of_a_folder(finished, scenario_file, command):
    _, folder = finished
    longer = scenario_file({"run.stopping.min_drops": 8, "description": "longer", "run.confidence": 0.9})
    assert command("run", longer, "--output", folder).code == 0
    assert len(list((folder / "drops").iterdir())) == 4


@pytest.mark.parametrize("name", ["notes.txt", "metrics.csv", "manifest.json"])
def test_a_folder_with_foreign_files_is_refused_and_kept(name, scenario_file, command, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / name).write_text('{"name": "web app"}')
    for extra in ([], ["--fresh"]):
        outcome = command("run", scenario_file(), "--output", folder, *extra)
        assert outcome.code == 2
        assert "not a linksim run" in outcome.line
        assert ADVICE in outcome.line
        assert contents(folder) == {name: b'{"name": "web app"}'}


def test_an_empty_folder_is_used(scenario_file, command, tmp_path):
    (tmp_path / "out").mkdir()
    assert command("run", scenario_file(), "--output", tmp_path / "out").code == 0


@pytest.mark.parametrize("text", ["{", "[]", "\xff", ""])
def test_a_damaged_manifest_is_named(text, finished, command):
    path, folder = finished
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    before = contents(folder)
    outcome = command("run", path, "--output", folder)
    assert outcome.code == 2
    assert f"{folder / 'manifest.json'}: damaged" in outcome.line
    assert contents(folder) == before


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "foreign"])
def test_a_damaged_unit_is_named_and_nothing_else_lost(damage, finished, command):
    path, folder = finished
    unit = max((folder / "drops").iterdir())
    whole = unit.read_bytes()
    if damage == "foreign":
        pq.write_table(pq.read_table(unit).select(["nmse"]), unit)
    else:
        unit.write_bytes({"cut": whole[:-20], "empty": b"", "text": b"hello"}[damage])
    before = contents(folder)
    outcome = command("run", path, "--output", folder)
    assert outcome.code == 2
    assert f"{unit}: damaged" in outcome.line
    assert "delete it and run again" in outcome.line
    assert contents(folder) == before
    unit.unlink()
    assert command("run", path, "--output", folder).code == 0
    assert unit.read_bytes() == whole


def test_leftovers_of_a_kill_are_removed(finished, command):
    path, folder = finished
    (folder / "drops" / "0123456789-000000.parquet.tmp").write_bytes(b"half")
    (folder / "manifest.json.tmp").write_bytes(b"half")
    assert command("run", path, "--output", folder).code == 0
    assert not list(folder.rglob("*.tmp"))


def test_a_kill_during_the_first_write_leaves_a_folder_that_can_be_used(scenario_file, command, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    for name in (".lock", "manifest.json.tmp"):
        (folder / name).write_bytes(b"")
    assert command("run", scenario_file(), "--output", folder).code == 0


@pytest.mark.parametrize("step", ["replace", "write_table"])
def test_a_full_disk_is_one_line_and_keeps_finished_units(step, scenario_file, command, tmp_path, monkeypatch):
    path, folder = scenario_file(), tmp_path / "out"
    module, calls = {"replace": os, "write_table": pq}[step], 0
    original = getattr(module, step)

    def full(*arguments, **options):
        nonlocal calls
        calls += ".parquet" in str(arguments[1])
        if calls > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, step, full)
        outcome = command("run", path, "--output", folder)
    assert outcome.code == 2
    assert "the disk is full" in outcome.line
    assert "run again to go on" in outcome.line
    assert len(list((folder / "drops").iterdir())) == 1
    assert json.loads((folder / "manifest.json").read_text())["status"] == "partial"
    assert command("run", path, "--output", folder).code == 0
    assert len(list((folder / "drops").iterdir())) == 2


@pytest.mark.parametrize("place", ["/proc/linksim/out", "/sys/out", "file", "file/out"])
def test_a_folder_that_cannot_be_written_is_one_line(place, scenario_file, command, tmp_path):
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / place
    outcome = command("run", scenario_file(), "--output", folder)
    assert outcome.code == 2
    assert str(folder) in outcome.line
    assert "cannot write here" in outcome.line
    assert ADVICE in outcome.line
    assert (tmp_path / "file").read_text() == "in the way"


def test_two_runs_cannot_share_a_folder(finished, command):
    path, folder = finished
    identity = json.loads((folder / "manifest.json").read_text())["hash"]
    before = contents(folder)
    with Store(folder, identity):
        outcome = command("run", path, "--output", folder, "--fresh")
    assert outcome.code == 2
    assert "another run is writing here" in outcome.line
    assert contents(folder) == before
    assert command("run", path, "--output", folder).code == 0


def test_a_folder_made_for_nothing_is_removed(tmp_path):
    with Store(tmp_path / "a" / "b", "identity"):
        pass
    assert list(tmp_path.iterdir()) == []
    with Store(tmp_path / "a" / "b", "identity") as store:
        store.write_text("metrics.csv", "")
    assert (tmp_path / "a" / "b" / "metrics.csv").exists()
