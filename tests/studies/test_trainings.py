from __future__ import annotations

import pandas

from studies.trainings import COLUMNS, table


def test_seeds_are_a_row_and_compared_one_by_one():
    rows = [("GRU (weights_seed 0)", 0.1, 100, 10.0), ("changes (weights_seed 0)", 0.2, 100, 10.0),
            ("GRU (weights_seed 1)", 0.2, 100, 12.0), ("changes (weights_seed 1)", 0.2, 100, 10.0)]
    lines = table(pandas.DataFrame(rows, columns=[*COLUMNS]), lambda name: "GRU")
    assert lines[2:] == ["| GRU | 11 | 100 | -10.00, -6.99 |  |",
                         "| changes | 10 | 100 | -6.99, -6.99 | +1.51 (+0.00 to +3.01) |"]


def test_without_seeds_each_method_is_a_row():
    rows = [("GRU", 0.1, 100, 10.0), ("LSTM", 0.01, 200, 5.0)]
    lines = table(pandas.DataFrame(rows, columns=[*COLUMNS]))
    assert lines[2:] == ["| GRU | 10 | 100 | -10.00 |  |", "| LSTM | 5 | 200 | -20.00 |  |"]
