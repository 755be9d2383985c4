from __future__ import annotations

import numpy
import pandas
import pytest

from linksim.loading.load import load_scenario
from studies.learning_curves import curves as module
from studies.learning_curves.curves import curves, keep, trainings
from studies.learning_curves.fit import crossing, fitted
from studies.trainings import COLUMNS

SEQUENCES = numpy.array([18e3, 72e3, 288e3, 1.152e6])


def curve(floor, scale, exponent):
    nmse = floor + scale * (SEQUENCES / SEQUENCES[0]) ** -exponent
    return pandas.DataFrame({"sequences": SEQUENCES, "nmse": nmse, "error": 0.02 * nmse})


@pytest.mark.parametrize(("floor", "exponent"), [(0.0, 0.3), (0.1, 0.5), (0.0, 0.1)])
def test_the_truth_lies_in_the_interval_and_the_interval_widens(floor, exponent):
    fit = fitted(curve(floor, 0.4, exponent))
    ahead = numpy.array([1e6, 1e7, 1.44e8])
    low, middle, high = fit.at(ahead)
    truth = floor + 0.4 * (ahead / SEQUENCES[0]) ** -exponent
    assert (low <= truth).all()
    assert (truth <= high).all()
    assert (numpy.diff(high / low) > 0).all()
    assert (numpy.diff(middle) < 0).all()


def test_order_is_told_only_where_the_fits_tell_it():
    near, far = fitted(curve(0.0, 0.4, 0.30)), fitted(curve(0.3, 0.5, 0.30))
    assert crossing(near, far, 1.44e8) == "the first is ahead at 1.4e+08 sequences"
    assert crossing(far, near, 1.44e8) == "the second is ahead at 1.4e+08 sequences"
    assert "ahead" not in crossing(near, fitted(curve(0.0, 0.4, 0.31)), 1.44e8)


def test_a_curve_goes_from_few_sequences_to_many():
    made = pandas.DataFrame([("GRU", 0.2, 288e3, 60.0), ("GRU", 0.4, 18e3, 5.0), ("hold", 1.0, 18e3, 1.0),
                             ("GRU", 0.3, 72e3, 20.0)], columns=["method", "nmse", "sequences", "cpu_s"])
    found = curves(made)
    assert list(found) == ["GRU", "hold"]
    assert found["GRU"]["sequences"].tolist() == [18e3, 72e3, 288e3]
    assert found["GRU"]["cpu_s"].tolist() == [5, 20, 60]
    numpy.testing.assert_allclose(found["GRU"]["error"] / found["GRU"]["nmse"], 0.02)


def test_what_is_measured_once_is_kept_and_what_is_made_here_stands_in_its_place(tmp_path, monkeypatch):
    path = tmp_path / "measured.csv"
    path.write_text("method,sequences,nmse_db,cpu_minutes\nGRU,18000,-3.9,0.9\nGRU,72000,-6.2,1.9\n", encoding="utf-8")
    monkeypatch.setattr(module, "MEASURED", path)
    here = pandas.DataFrame([("GRU (num_epochs 4)", 0.25, 72000, 90.0), ("LLM4CP (num_epochs 1)", 0.5, 18000, 60.0)],
                            columns=[*COLUMNS])
    monkeypatch.setattr(module, "made", lambda scenario: here)
    found = trainings()
    assert found[["method", "sequences"]].to_numpy().tolist() == [["GRU", 18000], ["GRU", 72000], ["LLM4CP", 18000]]
    numpy.testing.assert_allclose(10 * numpy.log10(found["nmse"]), [-3.9, -6.02, -3.01], atol=0.005)
    keep(found)
    monkeypatch.setattr(module, "made", lambda scenario: here[:0])
    again = trainings()
    numpy.testing.assert_allclose(again["nmse"], found["nmse"], rtol=2e-3)
    numpy.testing.assert_allclose(again["cpu_s"], found["cpu_s"], rtol=0.02)


def test_every_point_of_the_file_is_a_method_of_the_scenario():
    named = {module._SWEPT.sub("", method.name) for method in load_scenario(module.SCENARIO).methods}
    assert set(pandas.read_csv(module.MEASURED)["method"]) <= named
