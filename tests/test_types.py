"""What a type checker sees of linksim from outside. mypy reads this file (`[tool.mypy]`); nobody runs its script."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import pytest

import linksim

ROOT = Path(__file__).parents[1]

if TYPE_CHECKING:
    import torch

    import linksim.metrics
    from linksim.blocks.prediction.base import Predictor

    @linksim.register("predictor", "shrunk")
    class Shrunk(Predictor):
        def __init__(self, shrink: float = 0.95) -> None:
            super().__init__()
            self.shrink = shrink

        def predict(self, history: linksim.Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> linksim.Csi:
            assert_type(history.h, torch.Tensor)
            assert_type(history.panel, linksim.Panel)
            assert_type(linksim.metrics.nmse(history.h, history.h), torch.Tensor)
            return history.with_h(history.h * self.shrink, time_s, frequency_hz)

    assert_type(Shrunk(0.5).shrink, float)

    class SingleUser(linksim.Bound):
        pass

    scenario = linksim.load_scenario("my_scenario.yaml")
    assert_type(scenario, linksim.Scenario)
    assert_type(scenario.channel.num_users, int)
    results = linksim.run(scenario, output="results/example")
    assert_type(results, linksim.Results)
    assert_type(results.manifest, dict[str, Any])
    assert_type(linksim.ScenarioError("no"), linksim.ScenarioError)
    _ = linksim.scenarios  # type: ignore[attr-defined]  # a name that is not exported is told


def test_type_checkers_see_what_is_exported() -> None:
    tree = ast.parse(Path(linksim.__file__).read_text(encoding="utf-8"))
    unrun = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in unrun.body if isinstance(node, ast.ImportFrom)
            for alias in node.names}
    assert seen == linksim._EXPORTS


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(linksim.__file__).with_name("py.typed").is_file()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="needs mypy")
def test_types_hold() -> None:
    found = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
