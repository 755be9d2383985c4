"""Paired differences between two runs, or two methods of a run, with intervals: at equal points, and at equal value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
from scipy import stats

from linksim.core.errors import ScenarioError, StoreError
from linksim.core.messages import suggestion
from linksim.metrics.catalogue import Metric, metric, metric_names
from linksim.report.comparison import scenario_field
from linksim.report.load import Axis, Run, counted, dataset_of, first_drops
from linksim.results.unit_file import units_of

_TOLERANCE = 6
"""Significant digits of swept values that went through text or single precision."""


@dataclass(frozen=True)
class Pairs:
    """Values of both runs in the same drops.

    :param axes: swept in either run, where both have the same values.
    :param first: columns of the axes, ``method``, ``drop``, ``user`` and the measures; ``second`` likewise.
    """

    axes: tuple[Axis, ...]
    first: pandas.DataFrame
    second: pandas.DataFrame


def read_pairs(first: Run, second: Run, measures: Sequence[str]) -> Pairs:
    """The drops that two runs share: those of the same seed, channel and chunk.

    :param measures: columns wanted; one that a run does not have is NaN there.
    :raises ScenarioError: no drop is shared; says why.
    :raises StoreError: drops that are missing or cannot be read.
    """
    units = [units_of(run.folder, run.manifest) for run in (first, second)]
    for run, found in zip((first, second), units):
        if not found:
            raise StoreError(f"{run.folder} holds no drops: nothing can be paired (released results hold tables alone)")
    shared = sorted(units[0].keys() & units[1].keys())
    if first.manifest.get("seed") != second.manifest.get("seed") or not shared:
        raise ScenarioError(f"{first.folder} and {second.folder} share no drops: {_difference(first, second)}")
    axes = {axis.column: axis for run in (first, second) for axis in run.axes}
    frames = [_frame(run, [files[unit] for unit in shared], tuple(axes.values()), measures)
              for run, files in zip((first, second), units)]
    return Pairs(tuple(axes.values()), *frames)


def picked(frame: pandas.DataFrame, run: Run, method: str) -> pandas.DataFrame:
    """Rows of one method.

    :raises ScenarioError: the run has none of that name.
    """
    names = list(dict.fromkeys(frame["method"]))
    if method not in names:
        raise ScenarioError(f"{run.folder} has no method {method!r}: {suggestion(method, names)}")
    return frame[frame["method"] == method]


def _frame(run: Run, files: Sequence[Path], axes: Sequence[Axis], measures: Sequence[str]) -> pandas.DataFrame:
    try:
        columns = dataset_of(files).schema.names
        own = [axis.column for axis in axes if axis.column in columns]
        held = [name for name in dict.fromkeys(measures) if name in columns]
        # every part has all columns: channel points with fewer steps lack some
        parts = [
            dataset_of(these, files).to_table(columns=["method", "drop", "user", *own, *held],
                                              filter=first_drops(limit)).to_pandas()
            for limit, these in counted(run, files).items()]
    except (OSError, pyarrow.ArrowException) as error:
        raise StoreError(f"cannot read the drops of {run.folder}: {' '.join(str(error).split())}") from None
    if not parts:
        raise ScenarioError(f"{run.folder}: none of its drops that the other run has is in its results")
    frame = pandas.concat(parts)
    frame["method"] = frame["method"].astype(str)
    for axis in axes:
        if axis.column not in own:
            frame[axis.column] = scenario_field(run.manifest.get("scenario"), axis.key)
        elif axis.is_categorical:
            frame[axis.column] = frame[axis.column].astype(str)
        if not axis.is_categorical:
            frame[axis.column] = [float(f"{value:.{_TOLERANCE}g}") for value in frame[axis.column]]
    for name in set(measures) - set(held):
        frame[name] = float("nan")
    return frame


def _difference(first: Run, second: Run) -> str:
    """What makes their drops others."""
    about = [{"seed": run.manifest.get("seed"), "run.chunk_size": run.manifest.get("chunk_size"),
              **_flat((run.manifest.get("scenario") or {}).get("channel") or {}, "channel")} for run in (first, second)]
    for key in sorted({*about[0], *about[1]}):
        one, other = about[0].get(key), about[1].get(key)
        if one != other:
            return f"{key} is {one} in the first and {other} in the second"
    return "their channels were swept over other values"


def _flat(section: dict[str, Any], place: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        found |= _flat(value, f"{place}.{key}") if isinstance(value, dict) else {f"{place}.{key}": value}
    return found


CONFIDENCE = 0.95
RESAMPLES = 1000
"""Resamples of the bootstrap, where there is no formula: percentiles, ratios of sums, gains at equal value."""

SNR = "snr_db"


Point = tuple[Any, ...]
"""Values of the axes."""


@dataclass(frozen=True)
class Difference:
    """One line of a comparison.

    :param what: the metric's name, or "gain in dB at equal ...".
    :param methods: of the first and the second run.
    :param point: axis column to its value.
    :param first: value of the metric; ``second``; of a gain, the link SNR at which each has that value.
    :param value: first less second (of a gain: by how many dB the first needs less), NaN where there is none.
    :param low: of the interval; ``high``.
    :param num_drops: that went into it: both have them, and a value in them for every user.
    :param num_left_out: that both have, one of them without a value.
    """

    what: str
    methods: tuple[str, str]
    point: dict[str, float | str]
    first: float
    second: float
    value: float
    low: float
    high: float
    num_drops: int
    num_left_out: int = 0


def differences(first: Run, second: Run, names: list[str], methods: tuple[str, str] | None = None) -> list[Difference]:
    """Compare metric by metric, method by method, point by point; drops that only one run has are left out.

    :param names: of metrics; those that both runs report if empty. One that is named and has no value in both is a line
        of NaN.
    :param methods: one of each run; those of the same name if None.
    :raises ScenarioError: an unknown metric or method, nothing in common.
    :raises StoreError: drops that cannot be read.
    """
    shown = names or [name for name in first.shown if name in second.shown]
    for name in shown:
        try:
            metric(name)
        except KeyError:
            raise ScenarioError(f"no metric {name!r}: {suggestion(name, metric_names())}") from None
    wanted = [metric(name) for name in shown]
    pairs = read_pairs(first, second, [column for one in wanted for column in _columns(one)])
    if methods is None:
        there = set(pairs.second["method"])
        both = [(name, name) for name in dict.fromkeys(pairs.first["method"]) if name in there]
    else:
        both = [methods]
    if not both:
        raise ScenarioError(f"{first.folder} and {second.folder} have no method in common: name one of each with "
                            "--method and --against")
    lines = []
    for one in wanted:
        found = [line for pair in both for line in _of_methods(one, pair, pairs, first, second)]
        nothing = [Difference(one.name, pair, {}, math.nan, math.nan, math.nan, math.nan, math.nan, 0)
                   for pair in both] if names else []
        lines += found or nothing
    return lines


def _columns(one: Metric) -> tuple[str, ...]:
    return one.measure if isinstance(one.measure, tuple) else (one.measure,)


def _of_methods(one: Metric, names: tuple[str, str], pairs: Pairs, first: Run, second: Run) -> Iterator[Difference]:
    columns, axes = list(_columns(one)), [axis.column for axis in pairs.axes]
    keys = [*axes, "drop", "user"]
    sides = [picked(frame, run, name)[[*keys, *columns]] for frame, run, name in
             ((pairs.first, first, names[0]), (pairs.second, second, names[1]))]
    both = sides[0].merge(sides[1], on=keys, suffixes=(" a", " b"))
    # as in the means, a drop counts with all its users or not at all
    drop = [both[name] for name in (*axes, "drop")]
    joined = both[both.notna().all(axis=1).groupby(drop, dropna=False).transform("all").astype(bool)]
    if joined.empty:
        return
    tables = {key: _by_drop(group, columns) for key, group in _by_point(joined, axes).items()}
    num_both = {key: group["drop"].nunique() for key, group in _by_point(both, axes).items()}
    for key, (a, b) in tables.items():
        value, low, high = _interval(one, a, b)
        yield Difference(one.name, names, dict(zip(axes, key)), _reduced(one, a), _reduced(one, b), value, low, high,
                         len(a), num_both[key] - len(a))
    if one.needs_link and SNR in axes and one.reduction == "mean":
        yield from _gains(one, names, axes, tables)


def _by_point(frame: pandas.DataFrame, axes: list[str]) -> dict[Point, pandas.DataFrame]:
    """Rows of each sweep point, by its values."""
    return dict(iter(frame.groupby(axes, sort=False))) if axes else {(): frame}


def _by_drop(group: pandas.DataFrame, columns: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Measures ``[drop, user, column]`` of both sides."""
    ordered = group.sort_values(["drop", "user"])
    users = ordered["user"].nunique()
    a, b = (np.stack([ordered[f"{name}{side}" if f"{name}{side}" in ordered else name].to_numpy(np.float64)
                      for name in columns], -1).reshape(-1, users, len(columns)) for side in (" a", " b"))
    return a, b


def _reduced(one: Metric, values: np.ndarray) -> float:
    """The metric of drops ``[drop, user, column]``."""
    mean = values.mean((0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        match one.reduction:
            case "mean":
                return float(mean[0])
            case "root_of_mean":
                return float(np.sqrt(mean[0]))
            case "db_of_mean":
                return float(10 * np.log10(mean[0]))
            case "mean_of_db":
                return float((10 * np.log10(values.mean(1)[:, 0])).mean())
            case "db_of_ratio_of_sums":
                return float(10 * np.log10(mean[0] / mean[1]))
            case "binomial":
                return float(mean[0] / mean[1])
        found = np.quantile(values[..., 0], one.share)
        return float(10 * np.log10(found) if one.unit == "dB" else found)


def _interval(one: Metric, a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Difference of the metric and its interval: Student's over drops, by the delta method; else a bootstrap."""
    value = _reduced(one, a) - _reduced(one, b)
    if len(a) < 2 or not math.isfinite(value):
        return value, math.nan, math.nan
    influence = [_influence(one, side) for side in (a, b)]
    if influence[0] is None:
        return value, *_resampled(lambda chosen: _reduced(one, a[chosen]) - _reduced(one, b[chosen]), len(a))
    spread = (influence[0] - influence[1]).std(ddof=1) / math.sqrt(len(a))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(a) - 1) * spread
    return value, value - half, value + half


def _influence(one: Metric, values: np.ndarray) -> np.ndarray | None:
    """What each drop moves the metric by, to first order, ``[drop]``; None where there is no derivative."""
    drops = values.mean(1)
    mean = drops.mean(0)
    match one.reduction:
        case "mean":
            return drops[:, 0]
        case "root_of_mean":
            return drops[:, 0] / (2 * math.sqrt(mean[0])) if mean[0] > 0 else None
        case "db_of_mean":
            return 10 / math.log(10) * drops[:, 0] / mean[0] if mean[0] > 0 else None
        case "mean_of_db":
            return 10 * np.log10(drops[:, 0])
    return None


def _resampled(statistic: Callable[[np.ndarray], float], num_drops: int) -> tuple[float, float]:
    """Percentile bootstrap over drops, both sides drawn alike (Efron and Tibshirani, An Introduction to the Bootstrap,
    1993, chapter 13); NaN where hardly any resample has a value.
    """
    random = np.random.default_rng(num_drops)
    found = np.array([statistic(random.integers(num_drops, size=num_drops)) for _ in range(RESAMPLES)])
    found = found[np.isfinite(found)]
    if len(found) < RESAMPLES / 2:
        return math.nan, math.nan
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _gains(one: Metric, names: tuple[str, str], axes: list[str],
           tables: dict[Point, tuple[np.ndarray, np.ndarray]]) -> Iterator[Difference]:
    """By how many dB of link SNR the first method needs less for what the second has at each SNR."""
    at = axes.index(SNR)
    curves: dict[Point, dict[float, tuple[np.ndarray, np.ndarray]]] = {}
    for key, table in tables.items():
        curves.setdefault(key[:at] + key[at + 1:], {})[float(key[at])] = table
    others = axes[:at] + axes[at + 1:]
    for key, curve in curves.items():
        snr_db = np.array(sorted(curve))
        if len(snr_db) < 2 or len({len(curve[value][0]) for value in snr_db}) > 1:
            continue
        a, b = (np.stack([curve[value][side].mean(1)[:, 0] for value in snr_db], -1) for side in (0, 1))
        for number, snr in enumerate(snr_db):
            def gain(chosen: np.ndarray, number: int = number, snr: float = snr, a: np.ndarray = a,
                     b: np.ndarray = b, snr_db: np.ndarray = snr_db) -> float:
                return snr - _crossing(snr_db, a[chosen].mean(0), b[chosen, number].mean(), one.higher_is_better)

            value = gain(np.arange(len(a)))
            if not math.isfinite(value):
                continue  # beyond the first one's curve
            low, high = _resampled(gain, len(a)) if len(a) > 1 else (math.nan, math.nan)
            yield Difference(f"gain in dB at equal {one.name}", names, dict(zip(others, key)) | {SNR: float(snr)},
                             float(snr - value), float(snr), value, low, high, len(a))


def _crossing(snr_db: np.ndarray, curve: np.ndarray, level: float, rising: bool) -> float:
    """The lowest SNR at which a curve reaches a level, between its points linearly; NaN beyond them."""
    if not rising:
        curve, level = -curve, -level
    if level < curve[0] or level > curve.max():
        return math.nan
    index = int(np.argmax(curve >= level))
    if index == 0:
        return float(snr_db[0])
    share = (level - curve[index - 1]) / (curve[index] - curve[index - 1])
    return float(snr_db[index - 1] + share * (snr_db[index] - snr_db[index - 1]))
