"""A place is one process's at a time: the others wait and say so, and take over where it dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from linksim.core.file_lock import held, is_held

HOLDER = """
import sys, time
from pathlib import Path
from linksim.core.file_lock import held
with held(Path(sys.argv[1]), "writes x", removed=True):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the place for so many seconds."""
    processes = []

    def holder(seconds):
        processes.append(subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "lock"), str(seconds)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}))
        assert processes[-1].stdout.readline() == "held\n"
        return processes[-1]

    yield holder
    for process in processes:
        process.kill()
        process.communicate()


def test_a_free_place_is_had_at_once_and_leaves_nothing(tmp_path):
    said = []
    for _ in range(2):
        with held(tmp_path / "lock", "writes x", said.append, removed=True) as waited:
            assert not waited
    assert said == []
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("killed", [False, True])
def test_who_waits_says_for_whom_and_since_when_and_takes_over(killed, holder, tmp_path):
    other = holder(3600 if killed else 3)
    os.utime(tmp_path / "lock", (time.time() - 240, time.time()))
    said = []
    if killed:
        threading.Timer(2, other.kill).start()
    with held(tmp_path / "lock", "writes x", said.append, removed=True) as waited:
        assert waited
        assert other.wait(10) == (-9 if killed else 0)
    assert said == ["waiting for another process that writes x (for 4 min so far)"]
    assert not (tmp_path / "lock").exists()


def test_a_killed_holders_file_blocks_nobody(holder, tmp_path):
    other = holder(3600)
    other.kill()
    other.wait()
    assert (tmp_path / "lock").exists()
    said = []
    with held(tmp_path / "lock", "writes x", said.append) as waited:
        assert not waited
    assert said == []
    assert (tmp_path / "lock").exists()


def test_whether_a_place_is_held_is_told_without_taking_it(holder, tmp_path):
    assert not is_held(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []
    other = holder(3600)
    since = (tmp_path / "lock").stat().st_atime
    assert is_held(tmp_path / "lock")
    assert (tmp_path / "lock").stat().st_atime == since, "that is what waiting ones are told"
    other.kill()
    other.wait()
    assert not is_held(tmp_path / "lock")
    with held(tmp_path / "lock", "writes x") as waited:
        assert not waited
        assert is_held(tmp_path / "lock")
