"""From per-drop rows to metrics with intervals, in memory that does not grow with the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from scipy import stats

from linksim.metrics.catalogue import Metric

_DB = 10 / math.log(10)
_KEYS = ("drop", "user", "method")


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval; NaN where there is none."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return max(self.high - self.value, self.value - self.low)


def summarize_unit(table: pa.Table, axes: list[str]) -> pd.DataFrame:
    """Sums over the drops of one unit, enough for every mean and its interval.

    A drop counts once: its users are averaged first, since users of a drop are not independent draws.

    :param table: rows of a unit.
    :param axes: axis columns.
    :returns: per method and sweep point (the index): ``count``, and for every measure ``m`` the sums
        ``m``, ``m^2``, ``db m``, ``db m^2`` (of 10 log10), and ``m*n`` for the NMSE's numerator and denominator.
    """
    frame = table.to_pandas()
    frame["method"] = frame["method"].astype(str)
    keys = ["method", *axes]
    measures = [name for name in frame.columns if name not in (*_KEYS, *axes)]
    frame[measures] = frame[measures].astype(np.float64)
    sizes, sums = _group_sums(frame, [*keys, "drop"], measures)
    drops = sums.div(sizes, axis=0)
    columns: dict[str, pd.Series] = {}
    for name in measures:
        value = drops[name]
        columns[name] = value
        columns[f"{name}^2"] = value**2
        with np.errstate(divide="ignore", invalid="ignore"):
            decibel = 10 * np.log10(value)  # -inf of an error of zero stays, and makes the mean of dB absent
        columns[f"db {name}"], columns[f"db {name}^2"] = decibel, decibel**2
    if {"squared_error", "squared_norm"} <= set(measures):
        columns["squared_error*squared_norm"] = drops["squared_error"] * drops["squared_norm"]
    wide = pd.DataFrame(columns).reset_index()
    count, sums = _group_sums(wide, keys, list(columns))
    sums.insert(0, "count", count)
    return sums


def _group_sums(frame: pd.DataFrame, keys: list[str], names: list[str]) -> tuple[pd.Series, pd.DataFrame]:
    """Rows and sums of each group, groups in order of appearance.

    A NaN makes its group's sum NaN: skipping it, as pandas does, would bias the mean without a word.
    """
    groups = frame.groupby(keys, sort=False)
    sizes = groups.size()
    numbers = groups.ngroup().to_numpy()
    with np.errstate(invalid="ignore"):
        sums = {name: np.bincount(numbers, frame[name].to_numpy(), len(sizes)) for name in names}
    return sizes, pd.DataFrame(sums, index=sizes.index)


def total(summaries: list[pd.DataFrame]) -> pd.DataFrame:
    """Add summaries in the order given (which must not depend on who finished first)."""
    first, *rest = summaries
    result = first.copy()
    for summary in rest:
        result = result.add(summary, fill_value=0)
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
    """A mean metric of one method at one point, from its sums; None where the method lacks the measure.

    Intervals are Student's; in dB by the delta method, so that they are symmetric in dB.
    """
    count = float(sums["count"])
    needed = metric.measure if isinstance(metric.measure, tuple) else (metric.measure,)
    if any(name not in sums.index or pd.isna(sums[name]) for name in needed):
        return None
    if metric.reduction == "mean_of_db" and not math.isfinite(sums[f"db {needed[0]}"]):
        return None
    quantile = stats.t.ppf((1 + confidence) / 2, count - 1) if count > 1 else math.nan

    def moments(name: str) -> tuple[float, float]:
        mean = sums[name] / count
        return mean, max(sums[f"{name}^2"] / count - mean**2, 0.0) * count / max(count - 1, 1)

    match metric.reduction:
        case "mean":
            mean, variance = moments(needed[0])
            half = quantile * math.sqrt(variance / count)
            return Interval(mean, mean - half, mean + half)
        case "root_of_mean":
            mean, variance = moments(needed[0])
            root = math.sqrt(mean)
            half = quantile * math.sqrt(variance / count) / max(2 * root, 1e-300)  # by the delta method
            return Interval(root, root - half, root + half)
        case "mean_of_db":
            mean, variance = moments(f"db {needed[0]}")
            half = quantile * math.sqrt(variance / count)
            return Interval(mean, mean - half, mean + half)
        case "db_of_mean":
            mean, variance = moments(needed[0])
            return _decibel(mean, quantile * math.sqrt(variance / count))
        case "db_of_ratio_of_sums":
            top, top_variance = moments(needed[0])
            bottom, bottom_variance = moments(needed[1])
            covariance = (sums["*".join(needed)] / count - top * bottom) * count / max(count - 1, 1)
            ratio = top / bottom
            variance = (top_variance - 2 * ratio * covariance + ratio**2 * bottom_variance) / bottom**2
            return _decibel(ratio, quantile * math.sqrt(max(variance, 0.0) / count))
        case "binomial":
            return _clopper_pearson(sums[needed[0]], sums[needed[1]], confidence)
    raise ValueError(f"{metric.name} is a percentile: it needs the rows, not their sums")


def _clopper_pearson(errors: float, trials: float, confidence: float) -> Interval | None:
    """Exact interval of a chance.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26(4), 1934.
    """
    if trials <= 0:
        return None
    errors, trials, tail = round(errors), round(trials), (1 - confidence) / 2
    low = stats.beta.ppf(tail, errors, trials - errors + 1) if errors else 0.0
    high = stats.beta.ppf(1 - tail, errors + 1, trials - errors) if errors < trials else 1.0
    return Interval(errors / trials, float(low), float(high))


def _decibel(mean: float, half: float) -> Interval | None:
    if mean <= 0:
        return None
    value = 10 * math.log10(mean)
    return Interval(value, value - _DB * half / mean, value + _DB * half / mean)


def percentiles(metric: Metric, files: list[Path], axes: list[str], confidence: float
                ) -> dict[tuple[Any, ...], Interval]:
    """A percentile metric of every method and point, reading one measure from the unit files.

    The interval is from order statistics (David and Nagaraja, Order Statistics, 7.1), its ranks as wide as the
    share below the percentile varies between drops: the users of a drop are not independent draws.

    :returns: interval by (method, axis values…).
    """
    keys = ["method", *axes]
    rows = ds.dataset([str(path) for path in files], format="parquet").to_table(
        columns=[*keys, "drop", metric.measure]).to_pandas()
    rows["method"] = rows["method"].astype(str)
    quantile = metric.percentile / 100
    found = {}
    for key, group in rows.dropna().groupby(keys, sort=False):
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
        found[key] = Interval(*(float(value) for value in picked))
    return found
