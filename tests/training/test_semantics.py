"""The whole way of captions: a data set of one's own, trained, kept, evaluated; and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from rich.console import Console

from linksim.cli import main
from linksim.core.errors import LinksimError
from linksim.loading.load import load_scenario
from linksim.retrieval.sentences import encode_sentences
from linksim.scenario.resolved import resolve
from linksim.training.checkpoint import read_weights
from linksim.training.preparation import Built, prepare_parts

METHODS = [{"name": "no channel", "semantic": {"type": "no_channel", "embedding": 16}},
           {"name": "perfect CSI, joint", "csi": "perfect", "semantic": {
               "type": "deepsc_mimo", "width": 32, "num_heads": 4, "num_layers": 1, "embedding": 16}},
           {"name": "perfect CSI, text", "csi": "perfect", "semantic": {"type": "separate_text", "embedding": 16}}]


@pytest.fixture(autouse=True)
def sentence_encoder():
    try:
        encode_sentences(["a red car"])
    except LinksimError as error:
        pytest.skip(str(error))


@pytest.fixture
def scenario(tmp_path):
    def write(**changes):
        data = {
            "plugins": [str(Path(__file__).parent / "toy_retrieval.py")],
            "channel": {"num_users": 1, "num_subcarriers": 6, "num_history": 2, "num_future": 1, "model": "umi",
                        "bs_array": {"rows": 1, "columns": 2}, "ue_array": {"num_antennas": 4}},
            "link": {"precoder": {"type": "svd", "power": "equal"}, "num_streams_per_user": 2},
            "semantic": {"data": "toy", "channel_uses": 8, "captions_per_drop": 4},
            "methods": METHODS, "bounds": [], "metrics": ["map", "rank1", "rank5"],
            "sweep": {"link.snr_db": [-30, 60]},
            "training": {"num_drops": 20, "num_epochs": 3, "batch_drops": 8, "folder": str(tmp_path / "kept")},
            "run": {"chunk_size": 20, "units_per_round": 1, "threads_per_worker": 1,
                    "stopping": {"metric": "map", "half_width": 0.5, "min_drops": 20, "max_drops": 20}},
            **changes}
        path = tmp_path / "captions.yaml"
        path.write_text(yaml.safe_dump(data))
        return path
    return write


def test_trained_evaluated_and_found_again(scenario, tmp_path, capsys):
    path, output = scenario(), tmp_path / "out"
    assert main(["run", str(path), "--output", str(output)]) == 0
    assert "semantic codec of perfect CSI, joint: trained in" in " ".join(capsys.readouterr().out.split())
    rows = pd.read_csv(output / "metrics.csv").set_index(["method", "metric", "snr_db"])["value"].unstack()
    assert set(rows.index.get_level_values("metric")) == {"map", "rank1", "rank5"}
    for method in ("perfect CSI, joint", "perfect CSI, text"):
        low, high = rows.loc[method, "map"]
        ceiling = rows.loc["no channel", "map"][60.0]
        assert low < high <= ceiling + 0.15, method
    assert rows.loc["no channel", "map"].nunique() == 1, "there is no channel"
    text, free = rows.loc["perfect CSI, text", "map"][60.0], rows.loc["no channel", "map"][60.0]
    assert text == pytest.approx(free, abs=0.02), "text that arrives is worth as much as no channel"
    assert main(["run", str(path), "--output", str(output), "--fresh"]) == 0
    assert "semantic codec of perfect CSI, joint: loaded from" in " ".join(capsys.readouterr().out.split())


def test_a_checkpoint_that_the_file_names_is_used(scenario, tmp_path):
    joint = METHODS[1]
    prepare_parts(load_scenario(scenario(methods=[joint])), "cpu", Console(quiet=True))
    (folder,) = (tmp_path / "kept").iterdir()
    folder.rename(tmp_path / "given")
    named = {**joint, "semantic": {**joint["semantic"], "checkpoint": "given"}, "semantic_training": {"num_epochs": 9}}
    given = load_scenario(scenario(methods=[named]))
    (line,) = prepare_parts(given, "cpu", Console(quiet=True))
    assert line == (f"semantic codec of perfect CSI, joint: loaded from {tmp_path / 'given'} as given, which was "
                    "trained otherwise: training.num_epochs 3 there, 9 here")
    used = Built.load(given, "cpu").of(resolve(given), resolve(given).methods[0], "semantic").state_dict()
    assert all(torch.equal(used[name], tensor) for name, tensor in read_weights(tmp_path / "given").items())


def test_a_gallery_smaller_than_k_is_one_line(scenario, tmp_path, capsys):
    path = scenario(metrics=["map", "rank10"])
    assert main(["run", str(path), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "metrics: rank10 needs a gallery of 10 items, the test split of toy has 6: leave it out" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "kept").exists()
