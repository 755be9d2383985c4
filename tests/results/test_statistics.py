"""Intervals cover the truth as often as they say, for every way of reducing drops; memory stays flat."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from linksim.metrics.catalogue import METRICS, Metric
from linksim.results.statistics import (
    RunningTotal,
    interval_of,
    num_undefined,
    percentiles,
    summarize_unit,
    total,
)

TRIALS, DROPS, USERS = 300, 60, 3


def unit(values, chunk=0, methods=("a",), **columns):
    """A unit's table: values ``[drop, user]`` of the measure ``nmse`` for every method."""
    drops, users = values.shape
    drop, user = (grid.ravel() for grid in np.mgrid[chunk * drops:(chunk + 1) * drops, 0:users])
    count = len(methods)
    table = {
        "drop": np.tile(drop, count), "user": np.tile(user, count), "method": np.repeat(methods, drops * users),
        "nmse": np.tile(values.ravel(), count).astype(np.float32),
    }
    return pa.table({**table, **{name: np.tile(np.ravel(column), count) for name, column in columns.items()}})


def reduction(kind, measure="nmse", **options):
    return Metric("x", "x", options.pop("unit", "dB"), "", measure, kind, False, **options)


def dependent(generator, shape=(DROPS, USERS)):
    """Log-normal values whose users share most of a drop's randomness; mean and median are known."""
    common = generator.normal(size=(shape[0], 1)) * 0.6
    return np.exp(common + 0.3 * generator.normal(size=shape))


LOG_VARIANCE = 0.6**2 + 0.3**2
TRUTH = {
    "mean": math.exp(LOG_VARIANCE / 2),
    "db_of_mean": 10 * math.log10(math.exp(LOG_VARIANCE / 2)),
    # users are averaged before the dB, so the truth is that of a drop: found by a large sample below
    "mean_of_db": None,
}


@pytest.mark.parametrize("kind", ["mean", "db_of_mean", "mean_of_db", "db_of_ratio_of_sums"])
def test_intervals_of_means_cover_the_truth(kind):
    generator = np.random.default_rng(1)
    if kind == "db_of_ratio_of_sums":
        metric, truth = reduction(kind, ("squared_error", "squared_norm")), 10 * math.log10(0.1)
    else:
        metric, truth = reduction(kind), TRUTH[kind]
    if truth is None:
        truth = float(np.mean(10 * np.log10(dependent(generator, (400_000, USERS)).mean(1))))
    covered = 0
    for _ in range(TRIALS):
        values = dependent(generator)
        norm = generator.gamma(4, size=values.shape)
        error = 0.1 * norm * generator.gamma(5, 1 / 5, size=values.shape)
        table = unit(values, squared_error=error, squared_norm=norm)
        interval = interval_of(metric, summarize_unit(table, []).loc["a"], 0.95)
        covered += interval.low <= truth <= interval.high
    # the skew of few drops costs a few per cent; three standard errors of the estimate on the other side
    assert 0.90 <= covered / TRIALS <= 0.985


@pytest.mark.parametrize(("percentile", "users"), [(50.0, USERS), (50.0, 1), (90.0, USERS)])
def test_intervals_of_percentiles_cover_the_truth(percentile, users, tmp_path):
    generator = np.random.default_rng(2)
    metric = reduction("percentile", unit="", percentile=percentile)
    spread = math.sqrt(LOG_VARIANCE)
    truth = math.exp(stats.norm.ppf(percentile / 100) * spread)
    covered = 0
    for _ in range(TRIALS // 2):
        path = tmp_path / "unit.parquet"
        pq.write_table(unit(dependent(generator, (120, users))), path)
        interval = percentiles(metric, [path], [], 0.95)[("a",)]
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / (TRIALS // 2) <= 0.995


def test_a_narrower_level_gives_a_narrower_interval():
    row = summarize_unit(unit(dependent(np.random.default_rng(3))), []).loc["a"]
    widths = [interval_of(METRICS["nmse_db"], row, level).half_width for level in (0.8, 0.95, 0.99)]
    assert widths == sorted(widths)


def test_sums_of_units_do_not_depend_on_who_finishes_first():
    generator = np.random.default_rng(4)
    parts = [summarize_unit(unit(dependent(generator), k), []) for k in range(7)]
    whole = total(parts)
    for order in (range(7), reversed(range(7)), (3, 0, 6, 1, 5, 2, 4)):
        running = RunningTotal()
        for chunk in order:
            running.add(chunk, parts[chunk])
        pd.testing.assert_frame_equal(running.sums(), whole, check_exact=True)
        assert running.chunks == list(range(7))


def test_splitting_drops_into_units_changes_only_rounding():
    values = dependent(np.random.default_rng(5), (60, 2))
    whole = summarize_unit(unit(values), []).loc["a"]
    parts = total([summarize_unit(unit(values[k * 20:(k + 1) * 20], k), []) for k in range(3)]).loc["a"]
    np.testing.assert_allclose(whole, parts, rtol=1e-12)


def test_a_user_of_the_same_drop_adds_no_confidence():
    values = dependent(np.random.default_rng(6), (60, 1))
    one = interval_of(METRICS["nmse_db"], summarize_unit(unit(values), []).loc["a"], 0.95)
    two = interval_of(METRICS["nmse_db"], summarize_unit(unit(np.repeat(values, 4, 1)), []).loc["a"], 0.95)
    assert two.half_width == pytest.approx(one.half_width)


@pytest.mark.parametrize("name", ["nmse_db", "nmse_mean_of_db", "nmse_ratio_of_sums_db"])
def test_a_drop_without_a_value_is_left_out_and_not_counted(name):
    """The right value is that of the other drops alone, whichever unit the drop is in."""
    generator = np.random.default_rng(7)
    values = dependent(generator)
    norm = generator.gamma(4, size=values.shape)
    spoilt, error = values.copy(), values * norm
    spoilt[3, 1] = spoilt[41] = np.nan
    there = np.delete(np.arange(DROPS), [3, 41])

    def sums(chosen, values):
        return summarize_unit(unit(values[chosen], squared_error=np.where(np.isnan(values), np.nan, error)[chosen],
                                   squared_norm=norm[chosen]), [])

    expected = interval_of(METRICS[name], sums(there, values).loc["a"], 0.95)
    for parts in ([np.arange(DROPS)], np.split(np.arange(DROPS), 20), [np.arange(3), [3], np.arange(4, DROPS)]):
        row = total([sums(part, spoilt) for part in parts]).loc["a"]
        found = interval_of(METRICS[name], row, 0.95)
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
        assert found.num_drops == DROPS - 2
        assert num_undefined(METRICS[name], row) == 2
        assert row["count"] == DROPS


def test_a_percentile_leaves_out_the_same_drops(tmp_path):
    values = dependent(np.random.default_rng(9))
    spoilt = values.copy()
    spoilt[3, 1] = np.nan
    for name, content in (("spoilt", spoilt), ("without", np.delete(values, 3, 0))):
        pq.write_table(unit(content), tmp_path / name)
    found, expected = (percentiles(METRICS["nmse_median_db"], [tmp_path / name], [], 0.95)[("a",)]
                       for name in ("spoilt", "without"))
    assert found == expected
    assert found.num_drops == DROPS - 1


def test_a_method_that_lacks_a_measure_is_no_drop_without_a_value():
    table = unit(np.ones((4, 2)), methods=("a", "b"))
    lacking = pa.array([None] * 8 + [0.5] * 8, pa.float32())
    sums = summarize_unit(table.append_column("sgcs", lacking), [])
    assert num_undefined(METRICS["sgcs"], sums.loc["a"]) == 0
    assert interval_of(METRICS["sgcs"], sums.loc["a"], 0.95) is None
    assert interval_of(METRICS["sgcs"], sums.loc["b"], 0.95).value == 0.5


def test_a_sum_that_is_not_a_number_stays_one_whatever_is_added():
    parts = [summarize_unit(unit(np.full((2, 1), value)), []) for value in (np.inf, 0.0, 1.0)]
    assert math.isnan(total(parts).loc["a", "db nmse"])


def test_an_error_of_zero_has_no_mean_of_decibels():
    values = dependent(np.random.default_rng(7))
    values[3, :] = 0.0
    row = summarize_unit(unit(values), []).loc["a"]
    assert interval_of(METRICS["nmse_db"], row, 0.95) is not None
    assert interval_of(METRICS["nmse_mean_of_db"], row, 0.95) is None


def test_a_measure_that_a_method_lacks_is_absent_and_one_drop_has_no_interval():
    row = summarize_unit(unit(np.ones((1, 1))), []).loc["a"]
    assert interval_of(METRICS["rate_bps_hz"], row, 0.95) is None
    assert math.isnan(interval_of(METRICS["nmse_db"], row, 0.95).half_width)


def test_memory_does_not_grow_with_the_number_of_units():
    generator = np.random.default_rng(8)
    values = dependent(generator, (4, 2))
    running = RunningTotal()

    def add(chunks):
        for chunk in chunks:
            running.add(chunk, summarize_unit(unit(values, chunk, ("a", "b", "c")), []))

    add(range(20))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    add(range(20, 220))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 300_000
def blocks(errors, trials):
    """Sums over four drops."""
    return pd.Series({"count": 4, "block_errors": errors, "n block_errors": 4, "num_blocks": trials,
                      "n num_blocks": 4})


@pytest.mark.parametrize(("errors", "trials", "low", "high"), [
    (0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0), (7, 200, 0.0142, 0.0707)])
def test_block_errors_have_their_exact_interval(errors, trials, low, high):
    """Values of Clopper and Pearson's charts."""
    found = interval_of(METRICS["bler"], blocks(errors, trials), 0.95)
    assert found.value == errors / trials
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_a_point_without_blocks_has_no_block_error_rate():
    assert interval_of(METRICS["bler"], blocks(0, 0), 0.95) is None
    assert interval_of(METRICS["bler"], pd.Series({"count": 4}), 0.95) is None
