"""Runs without figures, compared by the bytes of what they write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from linksim.experiment.run import run
from linksim.loading.load import scenario_from_dict


@pytest.fixture
def simulate(tiny, tmp_path) -> Callable[..., Path]:
    """Run the small scenario with changes; returns its folder."""

    def simulate(folder: str, changes=None, **options) -> Path:
        run(scenario_from_dict(tiny(changes)), output=tmp_path / folder, report=False, **options)
        return tmp_path / folder

    return simulate


