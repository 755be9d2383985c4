"""Names of methods pass through metrics.csv as they are, or are refused before anything runs."""

from __future__ import annotations

import csv

import pytest

from linksim.core.errors import ScenarioError, StoreError
from linksim.experiment.run import run
from linksim.loading.load import scenario_from_dict
from linksim.report.load import load_run
from linksim.results.results import Results

NAMES = ["NA", "None", "nan", "null", "a, b", 'a "b"', "a; b", "'quoted'", "中文", "#1", " begins", "ends ", "True",
         "1e5", "[/b]", "\\n", "a=b", "$x$", "%s", "{}"]


def test_names_of_every_kind_are_read_back_as_they_are(tiny, tmp_path):
    methods = [{"name": name, "predictor": "zero"} for name in NAMES]
    scenario = scenario_from_dict(tiny({"methods": methods, "bounds": [],
                                        "sweep": {"acquisition.type": ["perfect", "awgn"]}}))
    results = run(scenario, output=tmp_path / "out", report=False)
    frame = results.to_pandas()
    assert list(dict.fromkeys(frame["method"])) == NAMES
    assert set(frame["type"]) == {"perfect", "awgn"}
    assert frame["num_drops"].dtype == int
    assert frame["value"].dtype == float
    assert [method.name for method in load_run(tmp_path / "out").methods] == NAMES
    with (tmp_path / "out" / "metrics.csv").open(encoding="utf-8", newline="") as file:
        assert {row["method"] for row in csv.DictReader(file)} == set(NAMES)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-3 dB", "@SUM(A1)", "two\nlines", "a\tb", "a\rb", "\x1b[31m", ""])
def test_names_that_a_spreadsheet_would_compute_or_break_are_refused(name, tiny):
    with pytest.raises(ScenarioError) as error:
        scenario_from_dict(tiny({"methods": [{"name": name, "predictor": "zero"}]}))
    assert "\n" not in str(error.value)
    assert "name" in str(error.value)


def test_numbers_of_axes_are_numbers(tiny, tmp_path):
    swept = tiny({"sweep": {"link.snr_db": [0, 2.5], "channel.speed_kmh": [3]}})
    frame = run(scenario_from_dict(swept), output=tmp_path / "out", report=False).to_pandas()
    assert set(frame["snr_db"]) == {0, 2.5}
    assert set(frame["speed_kmh"]) == {3}


def test_a_folder_without_results_says_so(tmp_path):
    with pytest.raises(StoreError, match=r"no metrics\.csv"):
        Results(tmp_path).to_pandas()
    with pytest.raises(StoreError, match=r"no manifest\.json"):
        _ = Results(tmp_path).manifest
