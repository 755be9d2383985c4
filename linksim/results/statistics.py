"""From per-drop rows to metrics with intervals, in memory that does not grow with the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import stats

from linksim.metrics.catalogue import METRICS, Metric

_DB = 10 / math.log(10)
_KEYS = ("drop", "user", "method")
_RATIOS = [one.measure for one in METRICS.values() if isinstance(one.measure, tuple)]


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval, NaN where there is none.

    :param num_drops: that went into it.
    """

    value: float
    low: float
    high: float
    num_drops: int = 0

    @property
    def half_width(self) -> float:
        return max(self.high - self.value, self.value - self.low)


def summarize_unit(table: pa.Table, axes: list[str]) -> pd.DataFrame:
    """Sums over the drops of one unit, enough for every mean and its interval.

    A drop counts once: its users are averaged first, since users of a drop are not independent draws. A measure that
    is NaN for one of them has no value in that drop, which counts neither in the sums nor in their number.

    :param table: rows of a unit; a measure that a method does not have is null.
    :param axes: axis columns.
    :returns: per method and sweep point (the index): ``count`` of drops, and for every measure ``m`` ``has m`` (drops
        of a method that has it), ``n m`` (those with a value), the sums ``m``, ``m^2``, ``db m``, ``db m^2`` (of
        10 log10), and ``m*n`` for the NMSE's numerator and denominator.
    """
    keys = ["method", *axes]
    frame = table.select([*keys, "drop"]).to_pandas()
    frame["method"] = frame["method"].astype(str)
    drop_of_row = frame.groupby([*keys, "drop"], sort=False).ngroup().to_numpy()
    heads = frame.iloc[np.unique(drop_of_row, return_index=True)[1]]
    groups = heads.groupby(keys, sort=False)
    group_of_drop, count = groups.ngroup().to_numpy(), groups.size()
    num_rows = np.bincount(drop_of_row)
    drops: dict[str, np.ndarray] = {}
    columns: dict[str, np.ndarray] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in (name for name in table.column_names if name not in (*_KEYS, *axes)):
            column = table[name]
            drops[name] = np.bincount(drop_of_row, column.to_numpy().astype(np.float64)) / num_rows
            columns[f"has {name}"] = (np.bincount(drop_of_row, column.is_null().to_numpy()) == 0).astype(np.float64)
        for pair in _RATIOS:
            if set(pair) <= set(drops):
                missing = np.isnan(drops[pair[0]]) | np.isnan(drops[pair[1]])
                for name in pair:
                    drops[name][missing] = np.nan
        for name, value in drops.items():
            valid = ~np.isnan(value)
            columns[f"n {name}"] = valid.astype(np.float64)
            columns[name] = np.where(valid, value, 0.0)
            columns[f"{name}^2"] = columns[name] ** 2
            # -inf of an error of zero stays, and makes the mean of dB absent
            columns[f"db {name}"] = np.where(valid, 10 * np.log10(value), 0.0)
            columns[f"db {name}^2"] = columns[f"db {name}"] ** 2
        if {"squared_error", "squared_norm"} <= set(drops):
            columns["squared_error*squared_norm"] = columns["squared_error"] * columns["squared_norm"]
        sums = {name: np.bincount(group_of_drop, values, len(count)) for name, values in columns.items()}
    return pd.DataFrame({"count": count.to_numpy(), **sums}, index=count.index)


def total(summaries: list[pd.DataFrame]) -> pd.DataFrame:
    """Add summaries in the order given (which must not depend on who finished first).

    A group or measure that one of them lacks counts as nothing there; a NaN is never taken for nothing.
    """
    first, *rest = summaries
    result = first.copy()
    for summary in rest:
        rows, columns = (ours if ours.equals(theirs) else ours.union(theirs, sort=False)
                         for ours, theirs in ((result.index, summary.index), (result.columns, summary.columns)))
        result = result.reindex(index=rows, columns=columns, fill_value=0.0) + \
            summary.reindex(index=rows, columns=columns, fill_value=0.0)
    return result


class RunningTotal:
    """Sums over units, added in the order of their chunks whichever arrives first.

    Floating-point sums depend on the order, so that a unit that is early waits; memory holds one sum and those.
    """

    def __init__(self) -> None:
        self._sum: pd.DataFrame | None = None
        self._next = 0
        self._early: dict[int, pd.DataFrame] = {}

    def add(self, chunk: int, summary: pd.DataFrame) -> None:
        """Add the summary of one unit; each chunk once."""
        self._early[chunk] = summary
        while self._next in self._early:
            ready = self._early.pop(self._next)
            self._sum = ready if self._sum is None else total([self._sum, ready])
            self._next += 1

    @property
    def chunks(self) -> list[int]:
        """The chunks added, in order."""
        return [*range(self._next), *sorted(self._early)]

    def sums(self) -> pd.DataFrame | None:
        """Sums over all units added; None before the first."""
        parts = [self._early[chunk] for chunk in sorted(self._early)]
        if self._sum is not None:
            parts.insert(0, self._sum)
        return total(parts) if parts else None


def interval_of(metric: Metric, sums: pd.Series, confidence: float) -> Interval | None:
    """A mean metric of one method at one point, from its sums.

    None where no drop has a value, or where their mean has none in dB. Intervals are Student's; in dB by the delta
    method, so that they are symmetric in dB.
    """
    needed = measures_of(metric)
    count = num_valued(metric, sums)
    if not count:
        return None
    if metric.reduction == "mean_of_db" and not math.isfinite(sums[f"db {needed[0]}"]):
        return None
    quantile = stats.t.ppf((1 + confidence) / 2, count - 1) if count > 1 else math.nan

    def moments(name: str) -> tuple[float, float]:
        mean = sums[name] / count
        return mean, max(sums[f"{name}^2"] / count - mean**2, 0.0) * count / max(count - 1, 1)

    def around(value: float, half: float) -> Interval:
        return Interval(value, value - half, value + half, count)

    match metric.reduction:
        case "mean":
            mean, variance = moments(needed[0])
            return around(mean, quantile * math.sqrt(variance / count))
        case "root_of_mean":
            mean, variance = moments(needed[0])
            root = math.sqrt(mean)
            # by the delta method
            return around(root, quantile * math.sqrt(variance / count) / max(2 * root, 1e-300))
        case "mean_of_db":
            mean, variance = moments(f"db {needed[0]}")
            return around(mean, quantile * math.sqrt(variance / count))
        case "db_of_mean":
            mean, variance = moments(needed[0])
            half = quantile * math.sqrt(variance / count)
        case "db_of_ratio_of_sums":
            top, top_variance = moments(needed[0])
            bottom, bottom_variance = moments(needed[1])
            if bottom <= 0:
                return None
            covariance = (sums["*".join(needed)] / count - top * bottom) * count / max(count - 1, 1)
            mean = top / bottom
            variance = (top_variance - 2 * mean * covariance + mean**2 * bottom_variance) / bottom**2
            half = quantile * math.sqrt(max(variance, 0.0) / count)
        case "binomial":
            return _clopper_pearson(sums[needed[0]], sums[needed[1]], confidence, count)
        case _:
            raise ValueError(f"{metric.name} is a percentile: it needs the rows, not their sums")
    return around(10 * math.log10(mean), _DB * half / mean) if mean > 0 else None


def measures_of(metric: Metric) -> tuple[str, ...]:
    """The per-drop columns that a metric is made of."""
    return metric.measure if isinstance(metric.measure, tuple) else (metric.measure,)


def num_valued(metric: Metric, sums: pd.Series) -> int:
    """Drops that have a value of a metric; 0 for a method that lacks its measure."""
    return _fewest("n", metric, sums)


def num_undefined(metric: Metric, sums: pd.Series) -> int:
    """Drops in which a method that has a metric's measure has no value of it, such as those of a silent channel."""
    return _fewest("has", metric, sums) - num_valued(metric, sums)


def _fewest(what: str, metric: Metric, sums: pd.Series) -> int:
    return int(min(sums.get(f"{what} {name}", 0) for name in measures_of(metric)))


def _clopper_pearson(errors: float, trials: float, confidence: float, num_drops: int) -> Interval | None:
    """Exact interval of a chance.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26(4), 1934.
    """
    if trials <= 0:
        return None
    interval = stats.binomtest(round(errors), round(trials)).proportion_ci(confidence, "exact")
    return Interval(round(errors) / round(trials), float(interval.low), float(interval.high), num_drops)


def percentiles(metric: Metric, files: list[Path], axes: list[str], confidence: float,
                max_drops: int | None = None) -> dict[tuple[Any, ...], Interval]:
    """A percentile metric of every method and point, reading one measure from the unit files.

    The interval is from order statistics (David and Nagaraja, Order Statistics, 7.1), its ranks as wide as the
    share below the percentile varies between drops: the users of a drop are not independent draws.

    :param max_drops: how many of the first drops count; all if None.
    :returns: interval by (method, axis values…).
    """
    keys = ["method", *axes]
    # file by file: a data set of all would have the columns of the first alone
    counted = None if max_drops is None else pc.field("drop") < max_drops
    parts = [pq.read_table(path, columns=[*keys, "drop", metric.measure], filters=counted, partitioning=None)
             for path in files if metric.measure in pq.read_schema(path).names]
    if not parts:
        return {}
    rows = pd.concat([part.to_pandas().astype({"method": str}) for part in parts], ignore_index=True)
    quantile = metric.share
    # as in the means, a drop counts with all its users or not at all
    whole = rows[metric.measure].notna().groupby([rows[name] for name in (*keys, "drop")]).transform("all")
    found = {}
    for key, group in rows[whole].groupby(keys, sort=False):
        values = np.sort(group[metric.measure].to_numpy(np.float64))
        below = (group[metric.measure] <= np.quantile(values, quantile)).groupby(group["drop"]).mean()
        deviation = below.std() if len(below) > 1 else 0.5
        spread = stats.norm.ppf((1 + confidence) / 2) * deviation / math.sqrt(len(below)) * len(values)
        rank = quantile * (len(values) - 1)
        low, high = (values[int(np.clip(r, 0, len(values) - 1))] for r in
                     (math.floor(rank - spread), math.ceil(rank + spread)))
        picked = np.array([np.quantile(values, quantile), low, high])
        if metric.unit == "dB":
            with np.errstate(divide="ignore"):
                picked = 10 * np.log10(picked)
        value, lower, upper = map(float, picked)
        found[key] = Interval(value, lower, upper, len(below))
    return found
