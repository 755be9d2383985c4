"""The data sets as a scenario's plugins, and what tests of built-in ones have."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from linksim.scenario.plugins import load_plugins

ROOT = Path(__file__).parents[3]
_SPEC = importlib.util.spec_from_file_location("retrieval_fixtures", ROOT / "tests" / "retrieval" / "conftest.py")
_SHARED = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_SHARED)
cache, quick_encoder, check_set = _SHARED.cache, _SHARED.quick_encoder, _SHARED.check_set


@pytest.fixture(autouse=True)
def plugins():
    """The data sets of the folder are known."""
    load_plugins([str(path) for path in sorted((ROOT / "studies" / "data_sets").glob("*.py"))])
