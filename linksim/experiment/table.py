"""The table of metrics from sums over drops, and in words what it cannot show."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from linksim.experiment.plan import Plan
from linksim.metrics.catalogue import Metric, metric
from linksim.results.results import NUMBER_COLUMNS, TEXT_COLUMNS
from linksim.results.statistics import Interval, interval_of, num_undefined, num_valued, percentiles

Key = tuple[Any, ...]
"""A method and the values of the axes."""


def intervals(plan: Plan, sums: list[pd.DataFrame], files: list[Path]) -> dict[str, dict[Key, Interval]]:
    """Every reported metric of every method and point that has a value, by metric.

    :param sums: of each channel point that has drops, see `linksim.results.statistics.summarize_unit`.
    :param files: the units that were summed, for percentiles.
    """
    axes, confidence = [axis.column for axis in plan.axes], plan.scenario.run.confidence
    found: dict[str, dict[Key, Interval]] = {}
    for name in plan.shown_metrics():
        one = metric(name)
        if one.reduction == "percentile":
            values = percentiles(one, files, axes, confidence, plan.max_drops) if files else {}
        else:
            values = {key: value for key, row in _rows(sums) if (value := interval_of(one, row, confidence))}
        found[name] = {key: value for key, value in values.items() if math.isfinite(value.value)}
    return found


def metrics_table(plan: Plan, found: dict[str, dict[Key, Interval]]) -> pd.DataFrame:
    """The rows of ``metrics.csv``: one for each metric, method and point, in the scenario's order."""
    axes = [axis.column for axis in plan.axes]
    order = {name: number for number, name in enumerate(plan.method_names)}
    places = [{value: number for number, value in enumerate(axis.values)} for axis in plan.axes]
    records = []
    for name, by_key in found.items():
        keys = sorted(by_key, key=lambda key: (order[key[0]], [place[value] for place, value in zip(places, key[1:])]))
        for key in keys:
            one = by_key[key]
            records.append({"method": key[0], "metric": name, "value": one.value, "ci_low": one.low,
                            "ci_high": one.high, "num_drops": one.num_drops, **dict(zip(axes, key[1:]))})
    return pd.DataFrame(records, columns=[*TEXT_COLUMNS, *NUMBER_COLUMNS, *axes])


def gaps(plan: Plan, sums: list[pd.DataFrame], found: dict[str, dict[Key, Interval]]) -> list[str]:
    """Notes on drops without a value, on values that do not exist, and on metrics that no method has."""
    names_of: dict[str, list[str]] = {}
    for name in plan.shown_metrics():
        for text in _gaps_of(metric(name), sums, found[name]):
            names_of.setdefault(text, []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in names_of.items()]


def _gaps_of(one: Metric, sums: list[pd.DataFrame], found: dict[Key, Interval]) -> list[str]:
    undefined: dict[str, list[tuple[int, int]]] = {}
    without: list[str] = []
    num_having = 0
    for key, row in _rows(sums):
        valued, missing = num_valued(one, row), num_undefined(one, row)
        num_having += valued + missing
        if missing:
            undefined.setdefault(key[0], []).append((missing, valued + missing))
        if valued and key not in found:
            without.append(key[0])
    if sums and not num_having:
        return ["no method here has it"]
    notes = []
    if undefined:
        counts = {count for of_method in undefined.values() for count in of_method}
        most, drops = max(counts)
        notes.append(f"{'up to ' * (len(counts) > 1)}{most} of {drops} drops have no value and are left out "
                     f"({', '.join(undefined)})")
    if without:
        why = {"binomial": "no block was sent", "db_of_ratio_of_sums": "no power in the channel, or no error"}
        notes.append(f"no value for {', '.join(dict.fromkeys(without))}: "
                     f"{why.get(one.reduction, 'an error of zero has none in dB')}")
    return notes


def _rows(sums: list[pd.DataFrame]) -> list[tuple[Key, pd.Series]]:
    return [(key if isinstance(key, tuple) else (key,), row) for frame in sums for key, row in frame.iterrows()]
