"""An LLVM library that Sionna RT cannot be imported with is named in one line, whatever was to be simulated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from linksim.core.llvm import VARIABLE, import_failure

ROOT = Path(__file__).parents[1]
DRJIT_SAYS = "jit_init_thread_state(): the LLVM backend is inactive because the LLVM shared library could not be found!"


def test_command_line_names_the_library(tmp_path):
    # stands for a Sionna beside sionna-rt, whose import fails so
    (tmp_path / "sionna").mkdir()
    (tmp_path / "sionna" / "__init__.py").write_text(f"raise ImportError({DRJIT_SAYS!r})\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "linksim.cli", "run", "scenarios/fdd_uma_30kmh.yaml", "--output", tmp_path / "out"],
        env={**os.environ, "PYTHONPATH": path, VARIABLE: "/nowhere/libLLVM.so"}, cwd=ROOT, capture_output=True,
        text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{VARIABLE} names /nowhere/libLLVM.so, which cannot be loaded" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [ImportError("No module named 'polars'"), OSError("LLVM")])
def test_other_exceptions_are_not_taken_for_it(error):
    assert import_failure(error) is None
