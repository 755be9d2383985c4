from __future__ import annotations

import numpy
import pandas
import pytest

from studies.learning_curves.curves import curves
from studies.learning_curves.fit import crossing, fitted

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


def test_curves_are_of_the_trainings_that_were_made():
    table = pandas.DataFrame([
        {"method": method, "num_epochs": epochs, "metric": "nmse_db", "value": value, "ci_low": value - 1,
         "ci_high": value + 1} for method, values in {"GRU": [-5.0, -6.0, -7.0], "hold": [0.0] * 3}.items()
        for epochs, value in zip([1, 4, 16], values)])
    made = pandas.DataFrame([("GRU", 16, 288e3, 60.0), ("GRU", 1, 18e3, 5.0), ("GRU", 4, 72e3, 20.0)],
                            columns=["method", "num_epochs", "sequences", "cpu_s"])
    found = curves(table, made)
    assert list(found) == ["GRU"]
    assert found["GRU"]["sequences"].tolist() == [18e3, 72e3, 288e3]
    assert found["GRU"]["cpu_s"].tolist() == [5, 20, 60]
    numpy.testing.assert_allclose(10 * numpy.log10(found["GRU"]["nmse"]), [-5, -6, -7])
    assert curves(table, made[:2]) == {}
