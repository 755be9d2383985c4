"""What has no value is left out of the table, counted and named; the values are those of the drops that remain."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from linksim.experiment.run import run
from linksim.loading.load import scenario_from_dict

SILENT = (2, 11, 12)
"""Of twenty drops."""


@pytest.fixture
def results(tmp_path):
    """Run a file of impulse responses in which some drops are all zeros; gives its folder."""

    def make(name, silent, **changes):
        rng = np.random.default_rng(5)
        shape = (20, 1, 1, 1, 2, 4, 6)
        a = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
        tau = rng.uniform(0, 1e-6, (20, 1, 1, 4)).astype(np.float32)
        keep = np.arange(20)
        if silent == "zero":
            a[list(SILENT)] = 0
        elif silent == "absent":
            keep = np.delete(keep, SILENT)
        path = tmp_path / f"{name}.npz"
        np.savez(path, a=a[keep], tau=tau[keep])
        told = {"carrier_frequency_ghz": 3.5, "csi_period_ms": 1.0, "num_subcarriers": 6, "num_history": 4,
                "num_future": 2, "bs_array": {"rows": 1, "columns": 2, "polarization": "single"},
                "normalization": "none", "speed_kmh": 3}
        scenario = scenario_from_dict({
            "channel": {"source": "files", "files": {"path": str(path)}, **told}, "bounds": [],
            "acquisition": {"type": "perfect"}, "methods": ["perfect CSI", "hold", "zero"],
            "metrics": ["nmse_db", "nmse_mean_of_db", "nmse_ratio_of_sums_db", "nmse_median_db", "sgcs", "rate_bps_hz"],
            "run": {"chunk_size": 1, "units_per_round": 1, "threads_per_worker": 1,
                    "stopping": {"min_drops": len(keep), "max_drops": len(keep), "adaptive": False}}, **changes})
        run(scenario, output=tmp_path / name, report=False)
        return tmp_path / name

    return make


def test_silent_drops_change_no_error_and_are_named(results):
    """17 drops and 3 silent ones are worth what the 17 are worth alone."""
    with_silent, alone = (pd.read_csv(results(name, name) / "metrics.csv").set_index(["metric", "method"])
                          for name in ("zero", "absent"))
    assert with_silent.loc[("nmse_db", "zero"), "value"] == pytest.approx(0, abs=1e-5)
    sums = "nmse_ratio_of_sums_db"  # to which silence adds nothing above and nothing below
    assert list(with_silent.loc[sums, "value"]) == pytest.approx(list(alone.loc[sums, "value"]))
    errors = [metric for metric in alone.index.levels[0] if metric not in (sums, "rate_bps_hz")]
    pd.testing.assert_frame_equal(with_silent.loc[errors], alone.loc[errors], rtol=1e-5)
    assert set(with_silent.loc[errors, "num_drops"]) == {17}
    # nothing is sent where nothing arrives: a rate of zero is a value
    assert set(with_silent.loc[["rate_bps_hz"], "num_drops"]) == {20}
    rates = [frame.loc["rate_bps_hz", "value"] for frame in (with_silent, alone)]
    assert list(rates[0]) == pytest.approx(list(17 / 20 * rates[1]), rel=1e-4)


def test_notes_say_which_drops_have_no_value(results, tmp_path):
    notes = json.loads((results("zero", "zero") / "manifest.json").read_text())["notes"]
    assert "drops in which a user has a silent channel (all zeros): 3" in notes
    (note,) = [note for note in notes if "nmse_db" in note]
    assert note.endswith(": 3 of 20 drops have no value and are left out (hold, zero)")
    assert "sgcs" in note
    assert "rate_bps_hz" not in note


def test_a_metric_that_no_method_has_says_so(results):
    notes = json.loads((results("zero", "zero", methods=["perfect CSI"]) / "manifest.json").read_text())["notes"]
    assert any(note.endswith(": no method here has it") and note.startswith("nmse_db, ") for note in notes)


def test_an_error_of_zero_is_named_where_it_has_no_decibels(tmp_path, tiny):
    static = {"channel.model": "cdl_d", "channel.speed_kmh": 0, "acquisition": {"type": "perfect"},
              "methods": ["hold"], "bounds": [], "metrics": ["nmse_db", "nmse_median_db", "rate_bps_hz"]}
    results = run(scenario_from_dict(tiny(static)), output=tmp_path / "out", report=False)
    table = results.to_pandas()
    if (table["metric"] == "nmse_db").any():
        pytest.skip("rounding of a static channel")
    assert set(table["metric"]) == {"rate_bps_hz"}
    assert "nmse_db, nmse_median_db, nmse_step_1_db, nmse_step_2_db: no value for hold: an error of zero has none in " \
        "dB" in results.manifest["notes"]
