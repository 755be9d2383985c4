"""What a user waits for: importing and looking things up stays quick and leaves torch alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).parents[1] / "scenarios"

HEAVY = {"torch", "sionna", "pandas", "pyarrow", "matplotlib", "ray", "scipy", "transformers", "peft", "gguf"}


def modules_after(code):
    text = (f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
            "print(*sys.modules, sep='\\n', file=sys.stderr)")
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    return set(result.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["blocks"], ["blocks", "ar"], ["schema"],
                                       ["validate", str(SCENARIOS / "tdd_uma_speed.yaml")],
                                       ["validate", str(SCENARIOS / "link/bler_uma_coded.yaml")],
                                       ["run", "missing.yaml"]])
def test_looking_things_up_does_not_import_torch(arguments):
    found = modules_after(f"from linksim.cli import main; main({arguments!r})")
    assert "linksim.cli" in found
    assert not found & HEAVY


def test_validating_reports_imports_torch_and_nothing_else_that_is_heavy():
    # a codec says itself how many bits it needs at least, and is a torch module
    scenario = str(SCENARIOS / "fdd_uma_30kmh.yaml")
    found = modules_after(f"from linksim.cli import main; main(['validate', {scenario!r}])")
    assert found & HEAVY <= {"torch"}


def test_importing_linksim_takes_less_than_half_a_second():
    best = min(_import_seconds() for _ in range(3))  # the quickest: this machine may be busy
    assert best < 0.5


def _import_seconds():
    result = subprocess.run([sys.executable, "-X", "importtime", "-c", "import linksim"], capture_output=True,
                            text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    line = next(line for line in result.stderr.splitlines() if line.rpartition("|")[2].strip() == "linksim")
    return int(line.split("|")[1]) / 1e6
