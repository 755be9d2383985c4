"""A checkpoint is made by one process at a time: the others wait, say so, and use what it made or take over."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from rich.console import Console

from linksim.core.errors import StoreError
from linksim.training import folder as folder_module
from linksim.training.folder import making, written_whole
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
