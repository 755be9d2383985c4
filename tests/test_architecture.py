"""What docs/architecture.md says how to add is short, and works as a plugin."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import linksim
from linksim.core.registry import find
from linksim.training import parts, preparation

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SMALL = """
channel: {source: %s, num_subcarriers: 8, num_history: 4, num_future: 2, num_users: 2, bs_array: {rows: 2, columns: 2}}
bounds: [%s]
methods: [hold, %s]
metrics: [nmse_db, rate_bps_hz, sum_rate_bps_hz%s]
plugins: [mine.py]
run: {chunk_size: 4, units_per_round: 1, stopping: {min_drops: 8, max_drops: 8}}
"""


def ran(command, tmp_path, said, bound="sum_capacity", predictor="zero", metric="", source="model", more=""):
    """The metrics of a small run, with the page's block that holds these words as a plugin."""
    (code,) = [code for code in BLOCKS if said in code]
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    (tmp_path / "small.yaml").write_text(SMALL % (source, bound, predictor, metric) + more, encoding="utf-8")
    assert command("run", tmp_path / "small.yaml", "--output", tmp_path / "out").code == 0
    return pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(["metric", "method"])["value"]


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: re.search(r"class (\w+)|def (\w+)", code)[0])
def test_what_is_added_has_ten_lines(code):
    written = [line for line in code.splitlines() if line and not line.startswith(("import ", "from "))]
    assert len(written) <= 10
    assert max(map(len, written)) <= 120


def test_a_predictor(command, tmp_path):
    found = ran(command, tmp_path, "fading_out", predictor="fading_out")
    assert -20 < found["nmse_db", "fading_out"] < 0  # a tenth is lost in each of two steps


def test_a_metric_is_in_results_figures_and_reports_without_its_plugin(command, tmp_path):
    found = ran(command, tmp_path, "worst_nmse_db", metric=", worst_nmse_db")
    assert found["worst_nmse_db", "zero"] == pytest.approx(0, abs=1e-5)
    assert found["worst_nmse_db", "hold"] > found["nmse_db", "hold"]
    assert find("metric", "worst_nmse_db").summary.startswith("NMSE of the worst subcarrier")
    assert "metric " in command("blocks", "worst_nmse_db", "--plugin", tmp_path / "mine.py").out
    subprocess.run([sys.executable, "-m", "linksim", "report", tmp_path / "out"], check=True, capture_output=True)
    drawn = {path.name for path in (tmp_path / "out" / "figures").glob("worst_nmse*.png")}
    assert drawn
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "NMSE of the worst subcarrier of a drop and user" in page
    assert "Worst NMSE" in page


def test_a_bound(command, tmp_path):
    found = ran(command, tmp_path, "single_user", bound="single_user, sum_capacity")
    bound = found["rate_bps_hz", "single-user bound"]
    assert bound > max(found["rate_bps_hz", "hold"], found["sum_rate_bps_hz", "sum capacity"] / 2)
    assert '"kind": "bound"' in (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")


def test_a_channel_source(command, tmp_path):
    found = ran(command, tmp_path, "rayleigh", source="{type: rayleigh, num_taps: 2}")
    assert found["nmse_db", "hold"] == pytest.approx(-18, abs=2)  # the noise of the history alone
    one, other = ((tmp_path / name).read_text(encoding="utf-8") for name in ("small.yaml", "out/manifest.json"))
    assert "rayleigh" in one
    assert '"num_taps": 2' in other
    refused = command("validate", tmp_path / "small.yaml", "--set", "bounds=[genie_lmmse]")
    assert "needs the rays of every drop, which rayleigh (num_taps 2) does not hold" in refused.line


def test_a_kind_of_block_that_learns(command, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "KINDS", parts.KINDS.copy())
    monkeypatch.setattr(preparation, "KINDS", parts.KINDS)
    more = "link: {precoder: learned_rzf}\ntraining: {num_drops: 250, num_epochs: 1, batch_drops: 50, folder: %s}\n"
    found = ran(command, tmp_path, "ShortPart", more=more % (tmp_path / "kept"))
    assert found["rate_bps_hz", "hold"] > 1
    (about,) = (tmp_path / "kept").glob("*/about.json")
    assert json.loads(about.read_text(encoding="utf-8"))["users"] == 2


def test_imports_inside_functions_say_why():
    without = []
    for path in sorted(Path(linksim.__file__).parent.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        inside = {node.lineno for function in ast.walk(ast.parse(text))
                  if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
                  for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)}
        without += [f"{path}:{number}" for number in sorted(inside)
                    if not re.search(r"# (start-up|optional)", lines[number - 1])]
    assert not without
