"""A problem so small that a training takes about a second."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from linksim.blocks.prediction.learned import normalized_error
from linksim.loading.load import scenario_from_dict
from linksim.training.data import training_batches
from linksim.training.preparation import prepare_parts

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
        return Path(prepare_parts(scenario, "cpu", Console(quiet=True))[-1].rpartition(" ")[2])

    return train


@pytest.fixture
def about():
    """What a checkpoint says of itself."""
    return lambda folder: json.loads((folder / "about.json").read_text())


@pytest.fixture
def curve():
    """A checkpoint's learning curve."""
    return lambda folder: pd.read_csv(folder / "learning_curve.csv")


@pytest.fixture
def validation_nmse(part):
    """Of a method's checkpoint over the scenario's validation drops, linear."""
    def validation_nmse(scenario, method=0) -> float:
        block = part(scenario, method).load()
        with torch.inference_mode():
            return float(torch.stack([
                normalized_error(block.predict(batch.history, batch.future.time_s, batch.future.frequency_hz).h,
                                 batch.future.h)
                for batch, validation in training_batches(scenario) if validation]).mean())

    return validation_nmse


@pytest.fixture
def wait_for():
    """Wait until something is there that a process makes."""
    def wait_for(process, ready):
        for _ in range(6000):
            if ready():
                return
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        raise AssertionError("it was not made")

    return wait_for
