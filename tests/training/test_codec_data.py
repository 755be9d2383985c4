"""What codecs are trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.io import savemat

from linksim.loading.load import load_scenario
from linksim.training.codec_data import CodecDrops

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "cost2100.yaml"


def test_the_example_of_cost2100_trains_on_the_window_of_the_file(part, tmp_path):
    values = np.random.default_rng(1)
    changes = {"training.num_drops": 300}
    for name, key, count in (("train", "training_path", 300), ("test", "path", 1000)):
        path = tmp_path / f"DATA_H{name}out.mat"
        savemat(path, {"HT": 0.5 + 0.1 * values.standard_normal((count, 2048))})
        changes[f"channel.files.{key}"] = str(path)
    scenario = load_scenario(EXAMPLE, changes)
    training = part(scenario, 0, "feedback").training
    assert training.speeds_kmh == []  # the file's users stand still
    drops = CodecDrops(scenario, training, window=32)
    batch = drops.draw(drops.chunks[0])
    assert batch.history.h.shape == (25, 1, 1, 32, 1, 32)
    whole = CodecDrops(scenario, training).draw(drops.chunks[0])
    assert whole.history.h.shape[-1] == 1024
    # nothing of the channel lies beyond the window
    energies = [part.history.h.abs().square().sum((1, 2, 3, 4, 5)) for part in (batch, whole)]
    torch.testing.assert_close(*energies)
