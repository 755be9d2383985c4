"""Scenarios so small that a run takes a fraction of a second, and the command line inside this process."""

from __future__ import annotations

import copy
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from linksim.channel.ray_traced.site import site_of

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
        without_figures.build_report = lambda folders, output=None, say=None: []
        monkeypatch.setitem(sys.modules, without_figures.__name__, without_figures)
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Hide a distribution, as if it were not installed."""

    def hide(distribution: str) -> None:
        real = metadata.version

        def version(name: str) -> str:
            if name == distribution:
                raise metadata.PackageNotFoundError(name)
            return real(name)

        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setitem(sys.modules, distribution.replace("-", "_"), None)

    return hide


@pytest.fixture(scope="session")
def part() -> Callable[..., Any]:
    """What a method learns: its predictor, or its block of another kind."""

    def part(scenario: Any, method: int | str = 0, kind: str = "predictor") -> Any:
        from linksim.scenario.resolved import resolve
        from linksim.training.parts import KINDS

        resolved = resolve(scenario)
        return KINDS[kind](resolved, resolved.methods[method] if isinstance(method, int) else resolved.method(method))

    return part


def _hand_made(name: str) -> Any:
    """A function of hand_made_paths.py, which imports torch: not before a test wants it."""
    spec = importlib.util.spec_from_file_location("hand_made_paths", Path(__file__).parent / "hand_made_paths.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


@pytest.fixture(scope="session")
def make_table() -> Callable[..., Any]:
    return _hand_made("make_table")


@pytest.fixture(scope="session")
def make_channel() -> Callable[..., Any]:
    return _hand_made("make_channel")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Put a table where the one of a channel would be read."""
    from linksim.channel.ray_traced import path_tables as tables

    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path / "cache"))

    def put(table: Any, *channels: Any) -> Any:
        for one in channels:
            monkeypatch.setitem(tables._TABLES, (str(tmp_path / "cache"), tables.table_name(one)), table)
        return table

    return put


@pytest.fixture
def traced_areas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_table: Callable[..., Any]
                 ) -> Iterator[list[int]]:
    """Tables by hand where procedural areas would be traced; gives the numbers of those that were."""
    from linksim.channel.ray_traced import path_tables, tracing

    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path / "areas"))
    numbers: list[int] = []

    def trace(options: Any, carrier_hz: float, say: Any) -> Any:
        numbers.append(options.first_area)
        found = make_table(num=options.positions_per_area, seed=options.first_area + 1,
                           bs_position_m=site_of(options).position_m)
        return replace(found, about={"candidates": len(found)})

    monkeypatch.setattr(tracing, "trace", trace)
    monkeypatch.setattr(path_tables, "import_sionna_rt", lambda: None)
    monkeypatch.setattr(path_tables, "num_processes", lambda jobs: 1)
    yield numbers
    path_tables._TABLES.clear()
