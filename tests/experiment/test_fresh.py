"""Replacing earlier results: they stay complete until the new ones begin, and a kill at any moment mixes nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from linksim.core.errors import StoreError
from linksim.experiment import run as run_module
from linksim.experiment.execute import LocalExecutor
from linksim.experiment.run import Interrupted, run
from linksim.loading.load import scenario_from_dict
from linksim.report.load import load_run
from linksim.results.store import Store

OWN = {"notes/draft.tmp": "mine", "data.tmp/x": "mine", "figures/mine.png": "mine", "drops/readme.md": "mine",
       "drops/notes.parquet": "mine", "report.html.bak": "mine", "plan.tmp": "mine", ".manifest.tmp": "mine"}


class Killed(BaseException):
    """What `kill -9` is to a test: nothing after it writes."""


@pytest.fixture(scope="module")
def scenarios(tiny):
    """One scenario, and the same with another seed."""
    return tuple(scenario_from_dict(tiny({"seed": seed})) for seed in (1, 2))


@pytest.fixture(scope="module")
def whole(scenarios, tmp_path_factory):
    """The folder of each, undisturbed."""
    folders = [tmp_path_factory.mktemp("whole") / str(number) for number in range(2)]
    for scenario, folder in zip(scenarios, folders):
        run(scenario, output=folder, report=False)
    return folders


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """The first one's results, and files of the user's own in all places."""
    folder = Path(shutil.copytree(whole[0], tmp_path / "out"))
    for name, text in OWN.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    for figure in ("nmse_db_vs_snr_db.png", "rate_bps_hz_cdf.pdf"):
        (folder / "figures" / figure).write_text("old")
    (folder / "report.html").write_text("old")
    return folder


def results_of(folder: Path) -> dict[str, bytes]:
    names = [folder / "metrics.csv", *sorted((folder / "drops").glob("*-*.parquet"))]
    return {path.name: path.read_bytes() for path in names}


def own_of(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in OWN if (folder / name).exists()}


def test_files_of_the_users_own_are_never_touched(folder, scenarios, whole):
    for leftover in (".metrics.csv.123.tmp", "drops/.0123456789-000000.parquet.9.tmp", "manifest.json.tmp",
                     "drops/0123456789-000000.parquet.tmp", "figures/.nmse_cdf.png.4.tmp"):
        (folder / leftover).write_text("half")
    run(scenarios[0], output=folder, report=False)
    assert own_of(folder) == OWN
    assert (folder / "report.html").read_text() == "old"
    run(scenarios[1], output=folder, report=False, fresh=True)
    assert own_of(folder) == OWN
    assert results_of(folder) == results_of(whole[1])
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert left == {*OWN, *(f"drops/{name}" for name in results_of(folder) if name != "metrics.csv"), "metrics.csv",
                    "manifest.json", ".lock"}


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, StoreError])
@pytest.mark.parametrize("moment", ["training", "the first unit"])
def test_old_results_stay_until_the_first_new_unit(moment, failure, folder, scenarios, monkeypatch):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def fail(*_):
        raise failure

    with monkeypatch.context() as patch:
        if moment == "training":
            patch.setattr("linksim.training.preparation.prepare_parts", fail)
        else:
            patch.setattr(run_module, "make_executor", lambda scenario, device, *_: LocalExecutor(scenario, device))
            patch.setattr(LocalExecutor, "run", fail)
        with pytest.raises((failure, Interrupted)):
            run(scenarios[1], output=folder, report=False, fresh=True)
    assert {path: path.read_bytes() for path in before} == before
    run(scenarios[0], output=folder, report=False)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_results_or_the_new_ones(folder, scenarios, whole, tmp_path, monkeypatch):
    replace, unlink = os.replace, Path.unlink
    old, new = (results_of(one) for one in whole)
    kept_old = 0
    for moment in range(1, 100):
        place = Path(shutil.copytree(folder, tmp_path / f"moment {moment}"))
        count = 0

        def counted(action, *arguments, moment=moment, **options):
            nonlocal count
            count += 1
            if count >= moment:
                raise Killed
            return action(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", lambda *paths: counted(replace, *paths))
            patch.setattr(Path, "unlink", lambda path, **options: counted(unlink, path, **options))
            try:
                run(scenarios[1], output=place, report=False, fresh=True)
            except Killed:
                died = True
            else:
                died = False
        if not died:
            break
        if json.loads((place / "manifest.json").read_text())["seed"] == 1:
            kept_old += 1
            assert results_of(place) == old
            load_run(place)
            run(scenarios[0], output=place, report=False)
            assert results_of(place) == old
        else:
            if json.loads((place / "manifest.json").read_text())["status"] != "done":
                with pytest.raises(StoreError):  # until the run has gone on there is no table
                    load_run(place)
            with pytest.raises(StoreError, match="belongs to another scenario"):
                run(scenarios[0], output=place, report=False)
            run(scenarios[1], output=place, report=False)
            assert results_of(place) == new
        assert own_of(place) == OWN
    assert not died
    assert results_of(place) == new
    assert kept_old
    assert moment > 12


def test_a_file_that_cannot_be_deleted_is_an_error_and_nothing_is_mixed(folder, scenarios, whole, monkeypatch):
    stuck = max((folder / "drops").glob("*-*.parquet"))
    unlink = Path.unlink

    def refused(path, **options):
        if path == stuck:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        for _ in range(2):
            with pytest.raises(StoreError, match="cannot be deleted") as error:
                run(scenarios[1], output=folder, report=False, fresh=True)
            assert str(error.value).startswith(f"{stuck}: ")
        with pytest.raises(StoreError, match="cannot be deleted"):
            run(scenarios[1], output=folder, report=False)
    run(scenarios[1], output=folder, report=False)
    assert results_of(folder) == results_of(whole[1])


def test_a_table_of_fewer_drops_goes_when_more_are_simulated(folder, tiny, monkeypatch):
    """A kill later leaves units, not a table and figures that no longer fit them."""
    write, count = Store.write_unit, 0

    def killed(self, *arguments):
        nonlocal count
        count += 1
        if count == 2:
            raise Killed
        return write(self, *arguments)

    longer = scenario_from_dict(tiny({"run.stopping.min_drops": 8}))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_unit", killed)
        with pytest.raises(Killed):
            run(longer, output=folder, report=False)
    assert len(list((folder / "drops").glob("*-*.parquet"))) == 3
    gone = ("metrics.csv", "report.html", "figures/rate_bps_hz_cdf.pdf")
    assert not any((folder / name).exists() for name in gone)
    with pytest.raises(StoreError, match=r"no metrics\.csv"):
        load_run(folder)
    run(longer, output=folder, report=False)
    assert set(load_run(folder).metrics["num_drops"]) == {8}


def test_an_interrupted_resume_that_wrote_nothing_keeps_the_table(folder, tiny, monkeypatch):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "read_unit", interrupted)
    with pytest.raises(Interrupted):
        run(scenario_from_dict(tiny({})), output=folder, report=False)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", ["metrics.csv", "manifest.json"])
def test_a_full_disk_at_the_end_is_one_line_and_the_next_run_goes_on(name, scenarios, whole, tmp_path, monkeypatch):
    replace = os.replace

    def full(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(StoreError, match="the disk is full"):
            run(scenarios[0], output=tmp_path / "out", report=False)
    assert not list(tmp_path.rglob("*.tmp"))
    run(scenarios[0], output=tmp_path / "out", report=False)
    assert results_of(tmp_path / "out") == results_of(whole[0])


def test_links_are_followed_to_folders_and_never_written_through(scenarios, whole, tmp_path):
    """A folder of drops on another disk is used; a link in a file's place is replaced, not its target."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "precious.csv").write_text("mine")
    folder = Path(shutil.copytree(whole[0], tmp_path / "real"))
    shutil.move(folder / "drops", tmp_path / "disk" / "drops")
    (folder / "drops").symlink_to(tmp_path / "disk" / "drops")
    (folder / "metrics.csv").unlink()
    (folder / "metrics.csv").symlink_to(tmp_path / "precious.csv")
    (tmp_path / "out").symlink_to(folder)
    run(scenarios[0], output=tmp_path / "out", report=False)
    run(scenarios[1], output=tmp_path / "out", report=False, fresh=True)
    assert results_of(tmp_path / "out") == results_of(whole[1])
    assert (tmp_path / "precious.csv").read_text() == "mine"


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_is_refused_stays_as_it_was(fresh, scenarios, tmp_path):
    """Not even a lock file is left in it."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="not a linksim run"):
        run(scenarios[0], output=tmp_path, report=False, fresh=fresh)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_damaged_manifest_does_not_keep_a_run_from_being_replaced(folder, scenarios, whole):
    (folder / "manifest.json").write_text("{")
    run(scenarios[1], output=folder, report=False, fresh=True)
    assert results_of(folder) == results_of(whole[1])
