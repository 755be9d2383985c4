"""Kills at random moments of runs, data sets and trainings: what is lost, and whether the next command goes on.

Each command is interrupted (SIGINT, SIGTERM, SIGHUP, Ctrl-C twice) or killed (SIGKILL) somewhere within its life, then
given again. An interrupted one exits with 130 (0 if it had just finished, and as the system says before it has set its
handlers), without a traceback; the next one goes on whatever was left, to the bytes of an undisturbed one.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml

from studies.robustness.inputs import BASE
from studies.robustness.trial import DONE, HANG, SILENT_S, TRACEBACK, Ended, command, said_in, try_command

_SCENARIO = {
    **BASE,
    "sweep": {"link.snr_db": [0, 10], "channel.speed_kmh": [3, 60]},
    "run": {"chunk_size": 2, "units_per_round": 4, "threads_per_worker": 1,
            "stopping": {"min_drops": 20, "max_drops": 20, "adaptive": False}},
}
_LEARNING = {
    **BASE, "methods": ["hold", "ridge", {"name": "GRU", "predictor": {"type": "gru", "hidden_size": 16,
                                                                       "num_layers": 1}}],
    "training": {"num_drops": 250, "num_epochs": 6, "batch_drops": 20},
}
_DATASET = ["dataset", "tried.yaml", "--num-drops", "40", "--overwrite", "--out"]
COMMANDS = {
    "run": (["run", "tried.yaml", "--output", "out"], _SCENARIO, "out/metrics.csv"),
    "run --fresh": (["run", "tried.yaml", "--output", "out", "--fresh", "--set", "seed=2"], _SCENARIO,
                    "out/metrics.csv"),
    "dataset .h5": ([*_DATASET, "set.h5"], _SCENARIO, "set.h5"),
    "dataset llm4cp": ([*_DATASET, "set", "--layout", "llm4cp", "--set", "channel.num_users=1", "--set",
                        "sweep={channel.speed_kmh: [10, 20]}"], _SCENARIO, "set/H_U_his_test.mat"),
    "train": (["train", "tried.yaml"], _LEARNING, "checkpoints/gru-*/weights.safetensors"),
}
"""What is killed, on which scenario, and the file that has the same bytes in the end, killed or not."""

_WAYS = {"SIGKILL": [signal.SIGKILL], "SIGTERM": [signal.SIGTERM], "SIGINT": [signal.SIGINT],
         "Ctrl-C twice": [signal.SIGINT, signal.SIGINT], "SIGHUP": [signal.SIGHUP]}


def kill_each(folder: Path, number: int, seed: int, say: Callable[[str], None]
              ) -> tuple[dict[str, Counter[str]], list[str]]:
    """Kill every command ``number`` times, and go on.

    :returns: counts by command, and a line for every kill after which something was wrong.
    """
    chosen = random.Random(seed)
    counts, faults = {}, []
    for name, (arguments, scenario, result) in COMMANDS.items():
        count = counts[name] = Counter(kills=0)
        whole = folder / "whole"
        _make(whole, scenario)
        began = time.monotonic()
        _must_be_done(try_command(arguments, whole), name)
        took_s = time.monotonic() - began
        expected = _digest(whole, result)
        for turn in range(number):
            own = folder / "killed"
            _make(own, scenario)
            if name == "run --fresh":
                _must_be_done(try_command(COMMANDS["run"][0], own), name)
            way = list(_WAYS)[turn % len(_WAYS)]
            after_s = chosen.uniform(0, took_s)
            code = _killed(arguments, own, _WAYS[way], after_s, chosen.uniform(0, 0.3))
            count["kills"] += 1
            said = said_in(own)
            kept = _units(own)
            if code is None:
                _note(count, faults, HANG, name, way, after_s, said)
            elif way != "SIGKILL" and (code not in (0, 130, -_WAYS[way][0]) or "Traceback" in said):
                _note(count, faults, TRACEBACK, name, way, after_s, f"exit {code}: {said[-400:]}")
            end = try_command(arguments, own)
            if end.how != DONE:
                _note(count, faults, "next command refused", name, way, after_s, end.said)
            elif _digest(own, result) != expected:
                _note(count, faults, "other results", name, way, after_s, end.said)
            if name == "run":
                count["units kept"] += len(kept)
                lost = sum(_units(own).get(unit) != made for unit, made in kept.items())
                if lost:
                    _note(count, faults, "units lost", name, way, after_s, f"{lost} units", lost)
            if left := _left_behind(own):
                _note(count, faults, "left behind", name, way, after_s, ", ".join(left))
        say(f"{name}: {count['kills']} kills")
    shutil.rmtree(folder, ignore_errors=True)
    return counts, faults


def _make(folder: Path, scenario: dict) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "tried.yaml").write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")


def _units(folder: Path) -> dict[str, float]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "out" / "drops").glob("*.parquet")}


def _left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if ".tmp" in path.name or path.name.endswith(".partial")]


def _digest(folder: Path, pattern: str) -> list[str]:
    # the head of a .mat file holds the time of writing
    return [hashlib.sha256(path.read_bytes()[128 * (path.suffix == ".mat"):]).hexdigest()
            for path in sorted(folder.glob(pattern))]


def _killed(arguments: list[str], folder: Path, signals: list[signal.Signals], after_s: float, pause_s: float
            ) -> int | None:
    """Exit code of a command that gets these signals after a time; None: it hung."""
    with command(arguments, folder) as process:
        time.sleep(after_s)
        for number in signals:
            process.signal(number)
            time.sleep(pause_s if len(signals) > 1 else 0)
        waited = time.monotonic()
        while process.poll() is None and time.monotonic() - waited < SILENT_S:
            time.sleep(0.01)
        return process.poll()


def _must_be_done(end: Ended, name: str) -> None:
    if end.how != DONE:
        raise RuntimeError(f"{name}: {end.how}: {end.said}")


def _note(count: Counter[str], faults: list[str], what: str, name: str, way: str, after_s: float, said: str,
          times: int = 1) -> None:
    count[what] += times
    faults.append(f"{name}, {way} after {after_s:.2f} s: {what}: {' '.join(said.split())[-400:]}")
