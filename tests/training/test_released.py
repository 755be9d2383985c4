"""Released checkpoints: small, whole, named by what they were trained on, and used by a shipped scenario."""

from __future__ import annotations

import importlib.util
import json

import pytest
import safetensors.torch
import torch

from linksim.training.checkpoint import RELEASED, read_weights
from linksim.training.identity import _KEYS, digest

FOLDERS = sorted(path for path in RELEASED.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def update():
    """The script that releases them."""
    spec = importlib.util.spec_from_file_location("update", RELEASED / "update.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_one_is_used_and_named_by_what_it_was_trained_on(update):
    assert {path.name for path in FOLDERS} <= set(update.used())
    for path in FOLDERS:
        about = json.loads((path / "about.json").read_text(encoding="utf-8"))
        assert path.name == f"{about['block']}-{digest({key: about[key] for key in _KEYS if key in about})}"
        assert about["validation_nmse"] < 1
        assert "weights_sha256" in about


def test_all_together_are_small_and_finite(update):
    files = [file for path in FOLDERS for file in path.iterdir()]
    assert sum(file.stat().st_size for file in files) <= update.LIMIT_MB * 1e6
    assert {file.name for file in files} <= {"weights.safetensors", "about.json", "learning_curve.csv"}
    for path in FOLDERS:
        for name, tensor in read_weights(path).items():  # whose digest is in about.json
            assert tensor.isfinite().all(), (path.name, name)


def test_half_precision_is_kept_and_too_large_a_weight_is_told(update, tmp_path):
    source, target = tmp_path / "own", tmp_path / "released"
    source.mkdir()
    (source / "about.json").write_text("{}", encoding="utf-8")
    (source / "resume").mkdir()
    (source / "logs").mkdir()
    (source / "learning_curve.csv").write_text("step\n", encoding="utf-8")
    state = {"weight": torch.tensor([0.1, -3.0]), "count": torch.tensor(7)}
    safetensors.torch.save_file(state, source / "weights.safetensors")
    update.release(source, target)
    kept = safetensors.torch.load_file(target / "weights.safetensors")
    assert (kept["weight"].dtype, kept["count"].dtype) == (torch.float16, torch.int64)
    assert sorted(path.name for path in target.iterdir()) == ["about.json", "learning_curve.csv", "weights.safetensors"]
    safetensors.torch.save_file({"weight": torch.tensor([1e6])}, source / "weights.safetensors")
    with pytest.raises(SystemExit, match="too large for half precision: weight"):
        update.release(source, target)
