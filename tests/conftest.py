"""Scenarios so small that a run takes a fraction of a second, and the command line inside this process."""

from __future__ import annotations

import copy
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY: dict[str, Any] = {
    "channel": {
        "num_users": 1, "num_subcarriers": 8, "num_history": 4, "num_future": 2,
        "bs_array": {"rows": 1, "columns": 2, "polarization": "single"},
    },
    "acquisition": {"type": "awgn", "csi_snr_db": 20},
    "methods": ["perfect CSI", "hold"],
    "run": {
        "chunk_size": 2, "units_per_round": 2, "threads_per_worker": 1,
        "stopping": {"min_drops": 4, "max_drops": 8, "adaptive": False},
    },
}


def changed(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with values replaced by dotted path; None removes a key."""
    data = copy.deepcopy(data)
    for key, value in changes.items():
        *parents, last = key.split(".") if not key.startswith("sweep.") else key.split(".", 1)
        node = data
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = value
    return data


@pytest.fixture(scope="session")
def tiny() -> Callable[..., dict[str, Any]]:
    """The small scenario as a dictionary, with changes by dotted path."""
    return lambda changes=None: changed(TINY, changes or {})


@pytest.fixture
def scenario_file(tmp_path: Path) -> Callable[..., Path]:
    """Write the small scenario with changes, or a text as it is; returns the file."""

    def write(changes: dict[str, Any] | str | None = None, name: str = "small.yaml") -> Path:
        path = tmp_path / name
        text = changes if isinstance(changes, str) else yaml.safe_dump(changed(TINY, changes or {}), sort_keys=False)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on stderr."""
        assert self.err.count("\n") == 1, self.err
        return self.err.removesuffix("\n")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run the command line in this process, without drawing figures (which takes seconds)."""
    from linksim.cli import main

    def run(*arguments: object) -> Outcome:
        without_figures = types.ModuleType("linksim.report.build")
        without_figures.build_report = lambda folders, output=None: []
        monkeypatch.setitem(sys.modules, without_figures.__name__, without_figures)
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
