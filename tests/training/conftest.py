"""A problem so small that a training takes about a second."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from rich.console import Console

from linksim.scenario.load import scenario_from_dict
from linksim.training.checkpoint import prepare

TOY = {
    "plugins": [str(Path(__file__).parent / "line_predictor.py")],
    "channel": {"num_subcarriers": 4, "num_history": 6, "num_future": 2, "speed_kmh": 60,
                "bs_array": {"rows": 1, "columns": 2}},
    "methods": [{"name": "line", "predictor": "line"}],
    "run": {"threads_per_worker": 1},
    "training": {"num_drops": 250, "num_epochs": 6, "batch_drops": 20, "learning_rate": 0.03},
}


@pytest.fixture
def toy(tmp_path):
    """The scenario with changes by dotted path; its checkpoints go to a folder of the test."""
    def make(changes=None, folder="checkpoints"):
        return scenario_from_dict(copy.deepcopy(TOY), {"training.folder": str(tmp_path / folder), **(changes or {})})

    return make


@pytest.fixture
def train():
    """Train a scenario's methods; returns the folder of the last one's checkpoint."""
    def train(scenario) -> Path:
        return Path(prepare(scenario, "cpu", Console(quiet=True))[-1].rpartition(" ")[2])

    return train


@pytest.fixture
def about():
    """What a checkpoint says of itself."""
    return lambda folder: json.loads((folder / "about.json").read_text())
