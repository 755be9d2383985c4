"""A whole run on a kept table, and one that cannot be traced."""

import json

import pandas as pd

from linksim.loading.load import load_scenario

TRACED = {"channel.source": "ray_traced", "channel.carrier_frequency_ghz": 3.4, "channel.num_users": 2,
          "acquisition.csi_snr_db": 15,
          "methods": ["perfect CSI", "hold", "wiener", {"name": "ridge", "predictor": "ridge"}]}


def test_a_run_ends_with_physical_results(command, scenario_file, make_table, made, tmp_path):
    path = scenario_file(TRACED | {"training": {"num_drops": 50, "folder": str(tmp_path / "checkpoints")}})
    made(make_table(num=2000), load_scenario(path).channel)
    outcome = command("run", path, "--output", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    table = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(["metric", "method"])["value"]
    for method in ("hold", "wiener", "ridge"):
        assert table["nmse_db", "genie LMMSE bound"] < table["nmse_db", method]
        assert table["sum_rate_bps_hz", method] <= table["sum_rate_bps_hz", "sum capacity"]
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
    assert any("munich at 3.4 GHz: 2000 positions with a path" in note for note in notes)


def test_what_cannot_be_traced_ends_before_anything_is_written(command, scenario_file, monkeypatch, tmp_path, without):
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path / "cache"))
    without("sionna-rt")
    for arguments in (("run", scenario_file(TRACED), "--output", tmp_path / "out"),
                      ("dataset", scenario_file(TRACED), "--num-drops", 2, "--out", tmp_path / "out.h5")):
        outcome = command(*arguments)
        assert outcome.code == 2
        assert "sionna-rt is not installed" in outcome.line
        assert "pip install -e '.[rt]'" in outcome.line
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.h5").exists()
