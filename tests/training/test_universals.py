"""The whole way of tasks: encoders aligned, a model trained on them, classical methods fitted, all scored and asked."""

import shutil

import pandas as pd
import pytest
import torch
import yaml
from rich.console import Console

from linksim.cli import main
from linksim.loading.load import load_scenario
from linksim.scenario.resolved import resolve
from linksim.training.checkpoint import read_weights
from linksim.training.preparation import Built, parts_of, prepare_parts

AREAS = {"scene": "procedural", "num_areas": 3, "positions_per_area": 40, "split": "random", "min_path_gain_db": -200,
         "synchronized": False}
ENCODERS = {"name": "encoders", "universal": "alignment", "universal_training": {"num_epochs": 1}}
SMALL = {"name": "without LLM", "universal": {"type": "ai2mmum", "body": "none"},
         "universal_training": {"teacher": "encoders"}}
METHODS = [ENCODERS, SMALL, {"name": "WKNN", "universal": "wknn"}, {"name": "kriging", "universal": "kriging"},
           {"name": "true channel", "universal": "true_channel"}]
METRICS = ["position_error_cdf90_m", "los_accuracy", "precoding_sgcs", "rate_bps_hz", "beam_top1", "path_loss_rmse_db"]


@pytest.fixture
def scenario(traced_areas, tmp_path):
    def write(**changes):
        data = {
            "channel": {"source": "ray_traced", "ray_traced": AREAS, "carrier_frequency_ghz": 3.4, "num_history": 1,
                        "num_future": 1, "num_subcarriers": 8, "speed_kmh": 0,
                        "bs_array": {"rows": 1, "columns": 4, "polarization": "single", "pattern": "omni"}},
            "link": {"precoder": "mrt"}, "methods": METHODS, "bounds": [], "metrics": METRICS,
            "training": {"num_drops": 250, "num_epochs": 3, "batch_drops": 50, "folder": str(tmp_path / "kept")},
            "run": {"chunk_size": 25, "units_per_round": 1, "threads_per_worker": 1,
                    "stopping": {"metric": "path_loss_rmse_db", "min_drops": 25, "max_drops": 25}}, **changes}
        path = tmp_path / "tasks.yaml"
        path.write_text(yaml.safe_dump(data))
        return path
    return write


def test_trained_scored_and_asked(scenario, tmp_path, capsys):
    path, output = scenario(), tmp_path / "out"
    assert main(["run", str(path), "--output", str(output)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for done in ("encoders: trained", "without LLM: trained", "WKNN: fitted", "kriging: fitted"):
        assert f"{done} in" in said
    assert said.count("fitting ") == 1  # together, every drop drawn once
    rows = pd.read_csv(output / "metrics.csv").set_index(["metric", "method"])["value"]
    assert "encoders" not in rows.index.get_level_values("method"), "it answers nothing"
    assert rows["precoding_sgcs", "true channel"] == pytest.approx(1, abs=1e-4)
    assert rows["precoding_sgcs", "without LLM"] < rows["precoding_sgcs", "true channel"]
    assert rows["rate_bps_hz", "without LLM"] < rows["rate_bps_hz", "true channel"]
    assert rows["beam_top1", "true channel"] == 1
    assert rows["path_loss_rmse_db", "kriging"] > 0
    assert pd.isna(rows.get(("los_accuracy", "kriging"), float("nan")))

    assert main(["run", str(path), "--output", str(tmp_path / "again")]) == 0
    assert "loaded from" in capsys.readouterr().out
    first, second = (pd.read_csv(folder / "metrics.csv") for folder in (output, tmp_path / "again"))
    pd.testing.assert_frame_equal(first, second)

    single = scenario(channel={**load(path)["channel"], "ray_traced": {**AREAS, "num_areas": 1}})
    assert main(["dataset", str(single), "--num-drops", "4", "--out", str(tmp_path / "some.h5")]) == 0
    kept = next((tmp_path / "kept").glob("ai2mmum-*"))
    capsys.readouterr()
    assert main(["ask", str(kept), "position", "--channels", str(tmp_path / "some.h5"), "--drops", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "m ahead of the base station" in lines[0]
    assert main(["ask", str(kept), "weather", "--channels", str(tmp_path / "some.h5")]) == 2
    assert 'write one of "position"' in capsys.readouterr().err

    wider = scenario(channel={**load(single)["channel"], "num_subcarriers": 16})
    assert main(["dataset", str(wider), "--num-drops", "4", "--out", str(tmp_path / "wider.h5")]) == 0
    assert main(["ask", str(kept), "position", "--channels", str(tmp_path / "wider.h5")]) == 2
    assert "16 subcarriers, but the model in" in capsys.readouterr().err
    model = tmp_path / "model.yaml"
    model.write_text(yaml.safe_dump({"channel": {"num_subcarriers": 8}, "methods": ["hold"]}))
    assert main(["dataset", str(model), "--num-drops", "2", "--out", str(tmp_path / "model.h5")]) == 0
    assert main(["ask", str(kept), "position", "--channels", str(tmp_path / "model.h5")]) == 2
    assert "model.h5: holds channels of source model" in capsys.readouterr().err
    assert main(["ask", str(tmp_path), "position", "--channels", str(tmp_path / "some.h5")]) == 2
    assert "about.json: not that of a universal model" in capsys.readouterr().err


def test_a_sweep_over_training_trains_one_for_each_value(scenario, tmp_path, capsys):
    path = scenario(methods=[{**ENCODERS, "universal_training": {"fraction": 1}}, *METHODS[1:]],
                    sweep={"training.fraction": [0.5, 1], "link.snr_db": [0, 10]})
    assert main(["train", str(path), "--method", "without LLM (fraction 0.5)"]) == 0
    assert main(["train", str(path), "--method", "without LLM (fraction 0.7)"]) == 2
    assert "did you mean 'without LLM (fraction 0.5)'?" in " ".join(capsys.readouterr().err.split())
    assert main(["run", str(path), "--output", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for done in ("without LLM (fraction 0.5): loaded from", "without LLM (fraction 1): trained in",
                 "WKNN (fraction 0.5): fitted in", "kriging (fraction 1): fitted in"):
        assert done in said
    assert said.count(": trained in") == 1
    rows = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(["metric", "method", "fraction", "snr_db"])["value"]
    for name in ("WKNN", "without LLM"):
        few, all_of_them = (rows["position_error_cdf90_m", name, fraction, 10] for fraction in (0.5, 1))
        assert few != all_of_them
        assert few == rows["position_error_cdf90_m", name, 0.5, 0]


def test_a_swept_option_of_a_block_is_another_block(scenario):
    path = scenario(methods=[{"name": "WKNN", "universal": "wknn"}],
                    sweep={"methods.WKNN.universal.max_fingerprints": [50, 100]})
    swept = parts_of(load_scenario(path))
    assert [part.name for part in swept] == ["WKNN (max_fingerprints 50)", "WKNN (max_fingerprints 100)"]
    assert len({part.key for part in swept}) == 2


def load(path):
    return yaml.safe_load(path.read_text())


def test_a_model_is_another_when_its_encoders_are(scenario, part):
    path = scenario()
    one = load_scenario(path)
    other = load_scenario(scenario(methods=[{**ENCODERS, "universal_training": {"num_epochs": 2}}, *METHODS[1:]]))
    small, wknn = ([part(read, name, "universal").about for read in (one, other)] for name in ("without LLM", "WKNN"))
    assert small[0] != small[1]
    assert wknn[0] == wknn[1]


@pytest.mark.parametrize("method", [SMALL, METHODS[2]], ids=["trained", "fitted"])
def test_a_checkpoint_that_the_file_names_is_used(method, scenario, tmp_path):
    one = load_scenario(scenario(methods=[ENCODERS, method]))
    name, made = method["name"], prepare_parts(one, "cpu", Console(quiet=True))[-1].rpartition(" ")[2]
    shutil.move(made, tmp_path / "given")
    shutil.rmtree(tmp_path / "kept")
    block = method["universal"] if isinstance(method["universal"], dict) else {"type": method["universal"]}
    named = {**method, "universal": {**block, "checkpoint": "given"}}
    given = load_scenario(scenario(methods=[ENCODERS, named], acquisition={"csi_snr_db": 3}))
    (line,) = prepare_parts(given, "cpu", Console(quiet=True))
    assert line.startswith(f"{name}: loaded from {tmp_path / 'given'} as given, which was trained otherwise: ")
    assert "acquisition.csi_snr_db 18.0 there, 3.0 here" in line
    used = Built.load(given, "cpu").of(resolve(given), resolve(given).methods[1], "universal").state_dict()
    assert all(torch.equal(used[name], tensor) for name, tensor in read_weights(tmp_path / "given").items())
    assert not (tmp_path / "kept").exists()


def test_a_ceiling_needs_no_checkpoint(scenario, part):
    assert part(load_scenario(scenario()), "true channel", "universal").plain().knows_truth


@pytest.mark.parametrize(("methods", "said"), [
    ([{**SMALL, "universal_training": {}}],
     "encoders come from a method with universal: alignment: name that in universal_training.teacher"),
    ([ENCODERS, {"name": "K", "universal": "k_factor", "universal_training": {"teacher": "encoders"}}],
     "universal 'k_factor' cannot be taught: leave universal_training.teacher out"),
])
def test_what_cannot_be_trained_is_told_before_anything_is(scenario, methods, said, tmp_path, capsys):
    assert main(["run", str(scenario(methods=methods)), "--output", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "kept").exists()


def test_who_only_teaches_is_not_trained_where_there_is_nobody_to_teach(scenario, tmp_path, capsys, traced_areas):
    apart = {**ENCODERS, "universal_training": {"num_epochs": 1, "channel": {"ray_traced": {"first_area": 50}}}}
    path = scenario(methods=[apart, SMALL])
    assert main(["train", str(path)]) == 0
    assert "encoders: trained in" in " ".join(capsys.readouterr().out.split())
    assert set(traced_areas) == {0, 1, 2, 50, 51, 52}
    for folder in (tmp_path / "kept").glob("alignment-*"):
        shutil.rmtree(folder)
    traced_areas.clear()
    assert main(["run", str(path), "--output", str(tmp_path / "out")]) == 0
    assert "encoders" not in " ".join(capsys.readouterr().out.split()).replace("encoders,", "").partition("versions")[0]
    assert not traced_areas
