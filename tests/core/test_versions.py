"""Versions are those that the installer noted, whatever a package's own files say."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

import linksim
from linksim.core.packages import installed, versions
from linksim.training import data

ROOT = Path(linksim.__file__).parents[1]


def test_sionna_needs_no_version_of_its_own(monkeypatch):
    # sionna-rt may have unpacked its __init__ over that of sionna-no-rt
    sionna = pytest.importorskip("sionna")
    expected = metadata.version("sionna-no-rt")
    monkeypatch.delattr(sionna, "__version__", raising=False)
    data._code.cache_clear()
    assert data._code()[0] == versions()["sionna"] == expected


def test_what_is_not_installed_has_no_version():
    assert installed("no-such-distribution") is None
    assert installed("no-such-distribution", "numpy") == metadata.version("numpy")


def test_no_code_asks_a_package_for_its_version():
    files = [path for folder in ("linksim", "benchmarks", "checkpoints") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    asking = [f"{path}: {match.group()}" for path in files
              for match in re.finditer(r"\b\w+\.__version__", path.read_text(encoding="utf-8"))]
    assert asking == []
