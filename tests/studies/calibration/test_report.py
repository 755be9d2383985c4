"""The report says what the numbers say, and stands on its own."""

import re

import numpy as np
import pandas as pd
import pytest

from studies.calibration.draw import METRICS_OF_PHASE
from studies.calibration.figures import write_figures
from studies.calibration.large_scale_check import Column, check_columns
from studies.calibration.report import write_report
from studies.calibration.study import Outcome, Study, all_setups, compare

BIG = 60


def values(setup, number, shift, random):
    found = {name: shift + 5 + random.standard_normal(number) ** 2 for name in METRICS_OF_PHASE[setup.phase]}
    return found | {"serving": np.zeros(number, int), "line_of_sight": np.zeros(number, bool)}


@pytest.fixture(scope="module")
def study():
    """A study whose values are made up: UMi at 28 GHz differs between the engines."""
    random = np.random.default_rng(1)
    outcomes, comparisons = [], []
    for setup in all_setups():
        plain = values(setup, BIG, 0, random)
        wrong = 3 if setup.name == "UMi 28 GHz, single sector" else 0
        paired = {name: value + wrong if name in METRICS_OF_PHASE[setup.phase] else value
                  for name, value in plain.items()}
        outcomes.append(Outcome(setup, plain, paired, values(setup, 2 * BIG, wrong, random)))
        comparisons += compare(outcomes[-1], 78)
    earlier = {one.setup.name: one.independent for one in outcomes if one.setup.phase == "configuration 1"}
    findings = next(check_columns([Column("uma", "los", 6e9)], 500, 1))
    return Study(2, 7, outcomes, comparisons, earlier, findings, 83.0)


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    write_report(study, write_figures(study, folder), folder)
    return folder


def test_report_tells_what_differs(study, folder):
    text = (folder / "README.md").read_text()
    wrong = len(METRICS_OF_PHASE["single sector"])
    assert f"{78 - wrong} of 78 comparisons" in text
    assert "DIFFERENT" in text
    assert not study.passed
    assert "python -m studies.calibration --drops 2 --seed 7" in text
    assert "1 min" in text


def test_report_shows_every_figure_and_nothing_of_this_machine(folder):
    text = (folder / "README.md").read_text()
    shown = set(re.findall(r"\]\((\w+\.png)\)", text))
    assert shown == {path.name for path in folder.glob("*.png")}
    assert len(shown) <= 10
    assert "{{" not in text
    assert not re.search(r"/(home|root|work|tmp)/", text)
    files = {path.name for path in folder.iterdir()}
    assert files - shown == {"README.md", "comparisons.csv", "quantiles.csv", "large_scale_parameters.csv"}


def test_numbers_are_those_of_the_study(study, folder):
    table = pd.read_csv(folder / "comparisons.csv")
    assert len(table) == len(study.comparisons)
    assert table["largest_difference"].to_numpy() == pytest.approx([one.deviation for one in study.comparisons])
    quantiles = pd.read_csv(folder / "quantiles.csv").set_index(["set_up", "metric", "source"])
    row = quantiles.loc[("UMa 6 GHz, large scale", "sir_db", "plain Sionna")]
    assert row["p50"] == pytest.approx(np.median(study.outcomes[0].plain["sir_db"]), rel=1e-5)
    assert (quantiles.filter(regex="^p").diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert pd.read_csv(folder / "large_scale_parameters.csv")["passed"].all()
