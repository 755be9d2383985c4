"""Two runs side by side: paired, at equal points and at equal rate, and refused where nothing can be paired."""

from __future__ import annotations

import io
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pandas
import pytest
from rich.console import Console

from linksim.core.errors import ScenarioError, StoreError
from linksim.report.differences import Difference, differences
from linksim.report.load import load_run
from linksim.report.terminal import print_differences

SNR_DB = np.array([0.0, 10.0, 20.0, 30.0])
AXIS = {"key": "link.snr_db", "column": "snr_db", "label": "SNR (dB)", "stage": "precoding", "values": list(SNR_DB)}
METRICS = ["rate_bps_hz", "nmse_db", "rate_p05_bps_hz"]


def write_run(folder: Path, shift_db: float = 0.0, seed: int = 1, method: str = "hold", label: str = "a" * 10,
              num_drops: int = 50, speed_kmh: float = 3.0, noise: float = 0.02) -> Path:
    """A run whose rate is that of ``shift_db`` more SNR; the drops' own luck, far larger, is the same in all runs."""
    luck = np.random.default_rng(1).normal(0, 3, (num_drops, 1))
    own = np.random.default_rng(zlib.crc32(folder.name.encode())).normal(0, noise, (num_drops, len(SNR_DB), 2))
    rows = []
    for drop in range(num_drops):
        for number, snr in enumerate(SNR_DB):
            for user in range(2):
                rate = 0.3 * (snr + shift_db) + luck[drop, 0] + 12 + own[drop, number, user]
                rows.append({"drop": drop, "user": user, "method": method, "snr_db": np.float32(snr),
                             "rate_bps_hz": np.float32(rate),
                             "nmse": np.float32(10 ** (-shift_db / 10) * (1 + 0.2 * abs(luck[drop, 0])))})
    (folder / "drops").mkdir(parents=True)
    pandas.DataFrame(rows).to_parquet(folder / "drops" / f"{label}-000000.parquet")
    table = [{"method": method, "metric": name, "value": 1.0, "ci_low": 1, "ci_high": 1, "num_drops": num_drops,
              "snr_db": snr} for name in METRICS for snr in SNR_DB]
    pandas.DataFrame(table).to_csv(folder / "metrics.csv", index=False)
    (folder / "manifest.json").write_text(json.dumps({
        "scenario_name": folder.name, "seed": seed, "chunk_size": num_drops, "axes": [AXIS], "metrics": METRICS,
        "methods": [{"name": method, "kind": "method"}],
        "scenario": {"link": {"snr_db": 0.0}, "channel": {"speed_kmh": speed_kmh}}}), encoding="utf-8")
    return folder


def compared(first: Path, second: Path, names: list[str], **options) -> list[Difference]:
    return differences(load_run(first), load_run(second), names, **options)


def test_what_drops_have_in_common_does_not_widen_the_interval(tmp_path):
    found = compared(write_run(tmp_path / "a", 2.0), write_run(tmp_path / "b"), ["rate_bps_hz"])
    at_points = [line for line in found if line.what == "rate_bps_hz"]
    assert [line.point for line in at_points] == [{"snr_db": snr} for snr in SNR_DB]
    for line in at_points:
        assert line.value == pytest.approx(0.6, abs=0.02)
        assert line.low <= line.value <= line.high
        assert line.high - line.low < 0.02  # unpaired: 2.4
        assert line.num_drops == 50


def test_the_gain_at_equal_rate_is_the_shift_of_the_curve(tmp_path):
    found = compared(write_run(tmp_path / "a", 4.0), write_run(tmp_path / "b"), ["rate_bps_hz"])
    gains = [line for line in found if line.what == "gain in dB at equal rate_bps_hz"]
    # what the second has at 0 dB the first has below its curve's begin
    assert [line.point["snr_db"] for line in gains] == [10, 20, 30]
    for line in gains:
        assert line.value == pytest.approx(4.0, abs=0.1)
        assert line.low <= line.value <= line.high
        assert line.high - line.low < 0.3
    reverse = compared(tmp_path / "b", tmp_path / "a", ["rate_bps_hz"])
    assert {round(line.value) for line in reverse if line.what.startswith("gain")} == {-4}


def test_errors_differ_in_decibels_and_percentiles_by_resampling(tmp_path):
    first, second = write_run(tmp_path / "a", 3.0), write_run(tmp_path / "b")
    for line in compared(first, second, ["nmse_db"]):
        assert line.value == pytest.approx(-3.0, abs=1e-4)
        assert line.high - line.low == pytest.approx(0, abs=1e-4)  # the same factor in every drop
    for line in compared(first, second, ["rate_p05_bps_hz"]):
        assert line.low <= 0.9 + 0.1
        assert line.high >= 0.9 - 0.1
        assert line.value == pytest.approx(0.9, abs=0.1)


def test_an_interval_holds_the_truth_as_often_as_it_says(tmp_path):
    held = 0
    for number in range(60):
        first = write_run(tmp_path / f"a{number}", noise=0.5, num_drops=20)
        second = write_run(tmp_path / f"b{number}", noise=0.5, num_drops=20)
        line = next(line for line in compared(first, second, ["rate_bps_hz"]) if line.what == "rate_bps_hz")
        held += line.low <= 0 <= line.high
    assert 50 <= held <= 60  # 57 expected


def test_two_methods_of_one_run_can_be_compared(tmp_path):
    run = write_run(tmp_path / "a", 2.0)
    other = write_run(tmp_path / "b", 0.0, method="zero")
    (other / "drops" / f"{'a' * 10}-000000.parquet").rename(run / "drops" / f"{'b' * 10}-000000.parquet")
    with pytest.raises(ScenarioError, match="no method 'hodl': did you mean 'hold'"):
        compared(run, run, ["rate_bps_hz"], methods=("hodl", "zero"))
    found = compared(run, run, ["rate_bps_hz"], methods=("hold", "zero"))
    assert found[0].methods == ("hold", "zero")
    assert found[0].value == pytest.approx(0.6, abs=0.02)


def test_points_that_one_run_lacks_are_left_out(tmp_path):
    first, second = write_run(tmp_path / "a", 1.0), write_run(tmp_path / "b")
    path = next((second / "drops").iterdir())
    frame = pandas.read_parquet(path)
    frame[frame["snr_db"] == 10].drop(columns="snr_db").to_parquet(path)
    manifest = json.loads((second / "manifest.json").read_text())
    manifest["axes"], manifest["scenario"]["link"]["snr_db"] = [], 10.0
    (second / "manifest.json").write_text(json.dumps(manifest))
    found = compared(first, second, ["rate_bps_hz"])
    assert [line.point["snr_db"] for line in found] == [10.0]
    assert found[0].value == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(("changes", "message"), [
    ({"seed": 2}, "share no drops: seed is 1 in the first and 2 in the second"),
    ({"label": "c" * 10, "speed_kmh": 60.0}, r"share no drops: channel.speed_kmh is 3.0 in the first and 60.0"),
    ({"method": "zero"}, "no method in common"),
])
def test_runs_that_cannot_be_paired_say_why(tmp_path, changes, message):
    with pytest.raises(ScenarioError, match=message):
        compared(write_run(tmp_path / "a"), write_run(tmp_path / "b", **changes), [])


def test_a_run_without_drops_and_an_unknown_metric_are_refused(tmp_path):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    with pytest.raises(ScenarioError, match="no metric 'rate': did you mean"):
        compared(first, second, ["rate"])
    for path in (second / "drops").iterdir():
        path.unlink()
    with pytest.raises(StoreError, match="holds no drops"):
        compared(first, second, [])


def test_a_constant_zero_error_has_no_decibels(tmp_path):
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    path = next((first / "drops").iterdir())
    pandas.read_parquet(path).assign(nmse=0.0).to_parquet(path)
    line = compared(first, second, ["nmse_db"])[0]
    assert line.value == -math.inf
    assert math.isnan(line.low)


def test_a_drop_without_a_value_is_left_out_of_both_sides(tmp_path):
    """Whichever side and user has none; the rest is worth what it is worth alone."""
    first, second, third = (write_run(tmp_path / name, shift) for name, shift in (("a", 2.0), ("b", 0.0), ("c", 2.0)))
    for run, drop, user in ((first, 3, 0), (second, 7, 1)):
        path = next((run / "drops").iterdir())
        frame = pandas.read_parquet(path)
        frame.loc[(frame["drop"] == drop) & (frame["user"] == user), "nmse"] = np.nan
        frame.to_parquet(path)
    path = next((third / "drops").iterdir())
    pandas.read_parquet(first / "drops" / path.name).query("drop not in (3, 7)").to_parquet(path)
    found, expected = compared(first, second, ["nmse_db"]), compared(third, second, ["nmse_db"])
    assert {(line.num_drops, line.num_left_out) for line in found} == {(48, 2)}
    for line, other in zip(found, expected):
        assert (line.value, line.low, line.high) == pytest.approx((other.value, other.low, other.high))


def test_a_metric_that_is_asked_for_and_has_no_value_says_so(tmp_path):
    run = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    (line,) = compared(*run, ["bler"])
    assert line.num_drops == 0
    assert math.isnan(line.value)
    console = Console(file=io.StringIO(), width=100)
    print_differences([line], None, console)
    assert "–" in console.file.getvalue()
    assert "nan" not in console.file.getvalue()
