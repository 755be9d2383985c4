"""Small scenarios, their drops in files, and loading a scenario that reads a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from linksim.core.errors import LinksimError
from linksim.experiment.dataset import Export, write_dataset
from linksim.loading.load import scenario_from_dict
from linksim.scenario.schema import Scenario


@pytest.fixture
def exported(tiny, tmp_path) -> Callable[..., Path]:
    """Write the drops of the small scenario, with changes, to a file in the test's folder."""

    def exported(name: str = "drops.h5", changes: dict[str, Any] | None = None, num_drops: int = 8,
                 **export: Any) -> Path:
        out = tmp_path / name
        write_dataset(scenario_from_dict(tiny(changes)), out, Export(num_drops, **export), "cpu", Console(quiet=True),
                      overwrite=True)
        return out

    return exported


@pytest.fixture
def reading() -> Callable[..., Scenario]:
    """A scenario that reads a file and names nothing that the file knows."""

    def reading(path: Path, channel: dict[str, Any] | None = None, files: dict[str, Any] | None = None,
                **changes: Any) -> Scenario:
        return scenario_from_dict({
            "channel": {"source": "files", "files": {"path": str(path), **(files or {})}, **(channel or {})},
            "methods": ["perfect CSI", "hold"], "bounds": [],
            "run": {"chunk_size": 2, "units_per_round": 2, "threads_per_worker": 1,
                    "stopping": {"min_drops": 2, "max_drops": 8, "adaptive": False}},
            **changes,
        })

    return reading


@pytest.fixture
def refused(reading) -> Callable[..., str]:
    """The one line with which a file is refused."""

    def refused(*arguments: Any, **options: Any) -> str:
        with pytest.raises(LinksimError) as error:
            reading(*arguments, **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    return refused
