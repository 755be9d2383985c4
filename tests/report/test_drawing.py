"""Drawings that data alone decide."""

import numpy
import pytest

from linksim.report.comparison import Series
from linksim.report.drawing import draw_distributions
from linksim.report.style import LineStyle


@pytest.mark.parametrize(("farthest", "shown"), [(2.0, True), (500.0, False)])
def test_a_long_tail_does_not_press_the_rest_of_a_distribution_together(farthest, shown):
    usual = numpy.linspace(0, 1, 200)
    samples = {"near": usual, "far": numpy.append(usual, farthest)}
    series = [Series(label, None, None, LineStyle("black")) for label in samples]
    (panel,) = draw_distributions(series, samples, "", "position error (m)").axes
    left, right = panel.get_xlim()
    assert left <= 0
    assert (right >= farthest) == shown
    assert right > 1
    assert len(panel.lines) == 2


def test_errors_of_many_decades_are_all_seen():
    fine, coarse = numpy.logspace(-2, 1, 200), numpy.append(numpy.logspace(1, 2, 199), 0.0)
    samples = {"fine": fine, "coarse": coarse}
    series = [Series(label, None, None, LineStyle("black")) for label in samples]
    (panel,) = draw_distributions(series, samples, "", "position error (m)", logarithmic=True).axes
    assert panel.get_xscale() == "log"
    left, right = panel.get_xlim()
    assert 0 < left < 0.02
    assert right >= 100
