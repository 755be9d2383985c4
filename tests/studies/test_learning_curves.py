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


def test_a_curve_goes_from_few_sequences_to_many():
    made = pandas.DataFrame([("GRU", 0.2, 288e3, 60.0), ("GRU", 0.4, 18e3, 5.0), ("hold", 1.0, 18e3, 1.0),
                             ("GRU", 0.3, 72e3, 20.0)], columns=["method", "nmse", "sequences", "cpu_s"])
    found = curves(made)
    assert list(found) == ["GRU", "hold"]
    assert found["GRU"]["sequences"].tolist() == [18e3, 72e3, 288e3]
    assert found["GRU"]["cpu_s"].tolist() == [5, 20, 60]
    numpy.testing.assert_allclose(found["GRU"]["error"] / found["GRU"]["nmse"], 0.02)
