"""Reading a run folder: what it holds, and one clear line when it is not one."""

import json
from pathlib import Path

import numpy
import pandas
import pytest

from linksim.core.errors import StoreError
from linksim.report.load import load_run, read_measure

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


def test_a_run_is_read_with_infinities_and_gaps(write_run):
    run = load_run(write_run(missing=lambda method, snr, speed: method == "Kalman" and snr == 0))
    nmse = run.metrics[run.metrics["metric"] == "nmse_db"].groupby("method")["value"]
    assert (nmse.get_group("perfect CSI") == -numpy.inf).all()
    assert nmse.get_group("Kalman").isna().sum() == 4
    assert [axis.column for axis in run.axes] == ["snr_db", "speed_kmh"]
    assert run.horizon_s[0] == 0.005


def test_optional_keys_may_be_missing(write_run):
    folder = write_run()
    (folder / "manifest.json").write_text("{}")
    run = load_run(folder)
    assert run.name == "run"
    assert {axis.column: len(axis.values) for axis in run.axes} == {"snr_db": 5, "speed_kmh": 4}
    assert {method.name for method in run.methods if method.kind == "bound"} == {
        "genie LMMSE bound", "sum capacity"
    }
    assert "nmse_db" in run.shown
    assert not any("step" in name for name in run.shown)


def test_a_method_may_be_called_none(write_run):
    run = load_run(write_run(methods=[("none", "method"), ("NA", "method")]))
    assert set(run.metrics["method"]) == {"none", "NA"}


def test_axis_values_that_went_through_float32_are_matched(write_run):
    folder = write_run(snr=(0.1, 0.2), speed=(3.0,))
    frame = pandas.read_csv(folder / "metrics.csv")
    frame["snr_db"] = frame["snr_db"].astype("float32").astype(float)
    frame.to_csv(folder / "metrics.csv", index=False)
    run = load_run(folder)
    assert run.axes[0].values == (0.1, 0.2)
    assert set(run.metrics["snr_db"]) == {0.1, 0.2}


def break_manifest(folder):
    (folder / "manifest.json").write_text("{ not\njson")


def list_manifest(folder):
    (folder / "manifest.json").write_text("[]")


def odd_axes(folder):
    (folder / "manifest.json").write_text(json.dumps({"axes": [{"key": "a.b"}]}))


def unknown_axis(folder):
    (folder / "manifest.json").write_text(json.dumps({"axes": [{"column": "distance_m", "values": [1]}]}))


def binary_metrics(folder):
    (folder / "metrics.csv").write_bytes(bytes(range(256)))


def empty_metrics(folder):
    (folder / "metrics.csv").write_text("")


def text_value(folder):
    (folder / "metrics.csv").write_text("method,metric,value,snr_db,speed_kmh\na,nmse_db,low,0,3\n")


def other_columns(folder):
    (folder / "metrics.csv").write_text("a,b\n1,2\n")


@pytest.mark.parametrize("damage", [
    break_manifest, list_manifest, odd_axes, unknown_axis, binary_metrics, empty_metrics, text_value,
    other_columns, lambda folder: (folder / "metrics.csv").unlink(),
    lambda folder: (folder / "manifest.json").unlink(),
])
def test_a_damaged_folder_is_one_line_that_names_it(write_run, damage):
    folder = write_run(snr=(0.0, 10.0))
    damage(folder)
    with pytest.raises(StoreError) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_no_folder_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="not a folder"):
        load_run(tmp_path / "nowhere")


def test_drops_are_read_at_one_point_only(write_run):
    run = load_run(write_run(num_drops=10))
    values = read_measure(run, "rate_bps_hz", {"snr_db": 10.0, "speed_kmh": 30.0})
    assert {len(array) for array in values.values()} == {20}
    assert len(values) == 14
    assert len(read_measure(run, "nmse", {"snr_db": 10.0, "speed_kmh": 30.0})["sum capacity"]) == 0
    assert read_measure(run, "no_such_measure", {}) == {}


def test_a_unit_being_written_is_ignored_but_a_damaged_one_is_not(write_run):
    folder = write_run(snr=(0.0, 10.0))
    (folder / "drops" / ".0123456789-000009.parquet.7.tmp").write_bytes(b"half")
    assert read_measure(load_run(folder), "nmse", {"snr_db": 0.0})
    (folder / "drops" / "0123456789-000000.parquet").write_bytes(b"half")
    with pytest.raises(StoreError, match="cannot read the drops") as caught:
        read_measure(load_run(folder), "nmse", {"snr_db": 0.0})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", sorted(filter(Path.is_dir, REFERENCE.iterdir())), ids=lambda path: path.name)
def test_released_results_are_read(folder):
    """They are older than schema versions and digests, and hold no drops."""
    run = load_run(folder)
    assert run.name == folder.name
    assert len(run.metrics)
    assert run.horizon_s
    assert read_measure(run, "nmse", {}) == {}
