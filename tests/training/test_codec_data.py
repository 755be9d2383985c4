"""What codecs are trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from linksim.scenario.load import load_scenario
from linksim.training.codec_data import CodecDrops, codec_training

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "cost2100.yaml"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The example's files, of random windows."""
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(1)
    for name, count in (("train", 300), ("test", 1000)):
        savemat(f"DATA_H{name}out.mat", {"HT": 0.5 + 0.1 * values.standard_normal((count, 2048))})


def test_the_example_of_cost2100_trains_on_the_window_of_the_file(files):
    scenario = load_scenario(EXAMPLE, {"training.num_drops": 300})
    training = codec_training(scenario, scenario.methods[0])
    assert training.speeds_kmh == []  # the file's users stand still
    drops = CodecDrops(scenario, training, window=32)
    batch = drops.draw(drops.chunks[0])
    assert batch.history.h.shape == (25, 1, 1, 32, 1, 32)
    whole = CodecDrops(scenario, training).draw(drops.chunks[0])
    assert whole.history.h.shape[-1] == 1024
    # nothing of the channel lies beyond the window
    energies = [part.history.h.abs().square().sum((1, 2, 3, 4, 5)) for part in (batch, whole)]
    torch.testing.assert_close(*energies)
