"""The whole way in miniature: teacher and student trained, killed twice, resumed, evaluated and reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from linksim.cli import main

CHILD = """
import sys, time
from linksim.blocks.prediction.csi_alm_light import CsiAlmLightPredictor
from linksim.results.store import Store
from linksim.training import loop
loop.SAVE_EPOCHS_EVERY_S = loop.SAVE_STEPS_EVERY_S = 0

def slowed(owner, name, seconds):
    quick = getattr(owner, name)
    def slow(*arguments):
        time.sleep(seconds)
        return quick(*arguments)
    setattr(owner, name, slow)

slowed(CsiAlmLightPredictor, "training_loss", 0.02)
slowed(Store, "write_unit", 0.2)
from linksim.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def scenario(tmp_path):
    """Write the scenario of one attempt; checkpoints and results are kept apart from the others'."""
    model = tmp_path / "model"
    model.mkdir()
    sizes = {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 11, "n_positions": 32}
    (model / "config.json").write_text(json.dumps(sizes))

    def write(name: str) -> list[str]:
        folder = tmp_path / name
        folder.mkdir()
        teacher = {"type": "csi_alm", "backbone": str(model), "weights": "random", "num_layers": 2, "num_words": 9,
                   "num_anchors": 6, "num_heads": 4}
        (folder / "small.yaml").write_text(yaml.safe_dump({
            "channel": {"num_users": 2, "num_subcarriers": 8, "num_history": 6, "num_future": 2, "speed_kmh": 60,
                        "bs_array": {"rows": 2, "columns": 2}},
            "acquisition": {"csi_snr_db": 20},
            "methods": ["perfect CSI", "hold", {"name": "ALM", "predictor": teacher},
                        {"name": "Light", "predictor": {"type": "csi_alm_light", "width": 16, "num_relation_heads": 4},
                         "training": {"teacher": "ALM", "num_epochs": 12}}],
            "bounds": [],
            "sweep": {"link.snr_db": [0, 20]},
            "training": {"num_drops": 250, "num_epochs": 3, "batch_drops": 20, "learning_rate": 0.01,
                         "folder": str(folder / "checkpoints")},
            "run": {"chunk_size": 2, "units_per_round": 4, "threads_per_worker": 1,
                    "stopping": {"min_drops": 40, "max_drops": 40, "adaptive": False}},
        }))
        return ["run", str(folder / "small.yaml"), "--output", str(folder / "out")]

    return write


def killed_when(ready, arguments: list[str]) -> None:
    """Start the command in a process of its own, and kill it once something is there."""
    with subprocess.Popen([sys.executable, "-c", CHILD, *arguments], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as child:
        try:
            for _ in range(6000):
                if ready():
                    return
                assert child.poll() is None, child.communicate()
                time.sleep(0.02)
            raise AssertionError("what was waited for did not come")
        finally:
            child.kill()


@pytest.mark.slow
def test_a_student_and_its_teacher_from_training_to_report_through_two_kills(scenario, capsys):
    undisturbed = scenario("undisturbed")
    assert main(undisturbed) == 0
    whole, out = Path(undisturbed[-1]).parent, Path(undisturbed[-1])

    arguments = scenario("killed")
    folder = Path(arguments[-1]).parent
    killed_when(lambda: list(folder.glob("checkpoints/csi_alm_light-*/resume/state.ckpt")), arguments)
    assert not list(folder.glob("checkpoints/csi_alm_light-*/weights.safetensors"))
    assert not list(folder.rglob("*.parquet"))
    killed_when(lambda: len(list(folder.glob("out/drops/*.parquet"))) >= 3, arguments)
    assert len(list(folder.glob("out/drops/*.parquet"))) < 20
    capsys.readouterr()
    assert main(arguments) == 0

    said = " ".join(capsys.readouterr().out.split())
    assert "ALM: loaded from" in said
    assert "Light: loaded from" in said
    for name in ("csi_alm", "csi_alm_light"):
        (one,), (other,) = (list(place.glob(f"checkpoints/{name}-*/weights.safetensors")) for place in (whole, folder))
        assert one.parent.name == other.parent.name
        assert one.read_bytes() == other.read_bytes()
        assert not (other.parent / "resume").exists()
    assert (folder / "out" / "metrics.csv").read_bytes() == (out / "metrics.csv").read_bytes()
    assert "Light" in (folder / "out" / "report.html").read_text(encoding="utf-8")
    nmse_db = pd.read_csv(out / "metrics.csv").query("metric == 'nmse_db'").groupby("method")["value"].mean()
    assert nmse_db["Light"] < 0  # better than predicting zero: it has learnt
