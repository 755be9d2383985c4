"""The command line's other commands, and what it says of its own options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from linksim import cli
from linksim.core.registry import KINDS, catalogue
from linksim.metrics.catalogue import metric_specs

ROOT = Path(__file__).parents[1]


def test_blocks_lists_each_block_on_one_line(command):
    lines = command("blocks").out.splitlines()
    specs = [spec for kind in KINDS for spec in (metric_specs() if kind == "metric" else catalogue(kind))]
    assert {"nmse_db", "sum_capacity", "wiener"} <= {spec.name for spec in specs}
    for line, spec in zip(lines, specs, strict=True):
        kind, name, summary = line.split(maxsplit=2)
        assert (kind, name, summary) == (spec.kind, spec.name, spec.summary)


def test_blocks_fits_its_lines_to_a_terminal(command, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    lines = command("blocks").out.splitlines()
    assert max(len(line) for line in lines) <= 60
    assert any(line.endswith("…") for line in lines)


def test_blocks_explains_every_block(command):
    for spec in catalogue():
        text = command("blocks", spec.name).out
        assert spec.doc in text
        for option in spec.options.model_fields:
            assert f"\n  {option}: " in text
    text = command("blocks", "ar").out
    assert "order: whole number >= 1; default " in text
    assert 'band: one of "sparse", "copy"; default "sparse"' in text


def test_blocks_names_the_nearest_block(command):
    outcome = command("blocks", "weiner")
    assert outcome.code == 2
    assert "did you mean 'wiener'" in outcome.line


def test_blocks_lists_plugins(command, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("import linksim\nfrom linksim.blocks.prediction.base import Predictor\n\n"
                      "@linksim.register('predictor', 'listed_block')\nclass Mine(Predictor):\n"
                      "    '''Of my own.'''\n    def __init__(self, gain: float = 2.0):\n        super().__init__()\n"
                      "    def predict(self, history, time_s, frequency_hz): ...\n")
    assert "Of my own." in command("blocks", "--plugin", plugin).out
    assert "gain: number; default 2.0" in command("blocks", "listed_block", "--plugin", plugin).out
    outcome = command("blocks", "--plugin", tmp_path / "missing.py")
    assert outcome.code == 2
    assert "no such file" in outcome.line


def test_validate_says_what_a_run_would_compute_and_writes_nothing(command, scenario_file, tmp_path):
    sweep = {"channel.speed_kmh": [3, 30], "link.snr_db": [0, 10, 20]}
    path = scenario_file({"sweep": sweep, "bounds": ["sum_capacity"]})
    outcome = command("validate", path)
    assert outcome.code == 0
    assert "3 curves, 6 sweep points, 2 channel points" in outcome.out
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("arguments", "words"), [
    (["run"], "SCENARIO.yaml"), (["rnu"], "rnu"), ([], "COMMAND"),
    (["run", "x.yaml", "--workers", "0"], "--workers"),
    (["run", "x.yaml", "--workers", "two"], "'two' is not a positive"),
    (["run", "x.yaml", "--fresch"], "--fresch"),
])
def test_a_wrong_argument_is_one_line(arguments, words, command):
    outcome = command(*arguments)
    assert outcome.code == 2
    assert words in outcome.line


def test_workers_without_ray_is_one_line_and_writes_nothing(command, scenario_file, tmp_path, without):
    without("ray")
    for arguments in (["--workers", "2"], ["--ray", "auto"]):
        outcome = command("run", scenario_file(), "--output", tmp_path / "out", *arguments)
        assert outcome.code == 2
        assert "package ray is not installed: `uv run --extra ray …` brings it, or `pip" in outcome.line
        assert "pip install -e '.[ray]'" in outcome.line
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_gpu_where_there_is_none_is_one_line_and_writes_nothing(device, command, scenario_file, tmp_path,
                                                                  monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = scenario_file({"run.device": device})
    for name in ("run", "train"):
        extra = ["--output", tmp_path / "out"] if name == "run" else []
        outcome = command(name, path, *extra)
        assert outcome.code == 2
        line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "device" in text)
        assert outcome.line == (f"error: {path}:{line}: run.device: {device} asked for, but torch sees no GPU; "
                                "use cpu or auto")
        assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_before_the_run_says_so(command, scenario_file, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_load", interrupted)
    outcome = command("validate", scenario_file())
    assert outcome.code == 130
    assert outcome.line == "interrupted"


def test_a_closed_pipe_is_no_error():
    process = subprocess.run(f"{sys.executable} -m linksim schema | head -1", shell=True, cwd=ROOT,
                             capture_output=True, text=True, check=True)
    assert process.stderr == ""


def test_run_sim_is_linksim_run():
    process = subprocess.run([sys.executable, ROOT / "run_sim.py", "missing.yaml"], cwd=ROOT, capture_output=True,
                             text=True, check=False)
    assert process.returncode == 2
    assert process.stderr.startswith("error: missing.yaml: no such scenario file")


def test_compare_prints_paired_differences_and_writes_them(command, scenario_file, tmp_path):
    small = {"methods": ["perfect CSI", "hold"], "bounds": [], "metrics": ["rate_bps_hz"],
             "sweep": {"link.snr_db": [0, 10]}, "run.stopping.min_drops": 4, "run.stopping.max_drops": 4,
             "run.chunk_size": 2}
    run = tmp_path / "run"
    assert command("run", scenario_file(small), "--output", run).code == 0
    table = tmp_path / "differences.csv"
    done = command("compare", run, run, "--method", "perfect CSI", "--against", "hold", "--output", table)
    assert done.code == 0
    assert "gain in dB at equal rate_bps_hz" in done.out
    assert table.read_text().splitlines()[0].startswith("what,method,against,snr_db,first,second,difference")
    refused = command("compare", run, run)
    assert refused.code == 2
    assert "name two of its methods" in refused.line
