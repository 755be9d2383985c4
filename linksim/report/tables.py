"""Metrics as tables: methods down, the values of an axis (or several metrics at one point) across."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas

from linksim.report.comparison import Comparison
from linksim.report.load import Axis
from linksim.report.wording import (
    MISSING,
    at,
    capitalised,
    describe,
    line_of,
    parameter_text,
    point_text,
    relevant_axes,
    representative,
    value_text,
    values_of,
    views,
    with_unit,
)


@dataclass(frozen=True)
class Table:
    """Cells as text.

    :param columns: the headings after the first, which is ``Method``.
    :param rows: a series' label and its cells, the best value on top.
    """

    title: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]
    metric: str = ""

    def to_pandas(self) -> pandas.DataFrame:
        """The cells with the methods as index."""
        index = pandas.Index([label for label, _ in self.rows], name="Method")
        return pandas.DataFrame([cells for _, cells in self.rows], index=index, columns=self.columns)


def metric_tables(comparison: Comparison, metric_name: str) -> list[Table]:
    """A metric over its first axis, ``value ± half the interval``: a table for each panel of its figure.

    A metric that depends on no axis gives one table with one column; one without values gives none.
    """
    layout = views(comparison, metric_name)
    if not layout:
        return []
    view = layout[0]
    metric = describe(metric_name)
    rows = values_of(comparison, metric_name)
    return [
        _pivot(comparison, metric_name, at(rows, point), view.x_axis, ", ".join(filter(None, [
            with_unit(metric.label, metric.unit), point_text(comparison.axes, {**view.fixed, **point}),
        ])))
        for point in view.panels
    ]


def all_tables(comparison: Comparison, metric_names: Sequence[str]) -> list[Table]:
    """`metric_tables` of each metric; those that depend on no axis share one table, which comes first."""
    layouts = {name: views(comparison, name) for name in metric_names}
    flat = [name for name, (view, *_) in layouts.items() if view.x_axis is None and not view.fixed]
    title = "At every sweep point" if comparison.axes else "All metrics"
    shared = [replace(point_table(comparison, flat), title=title)] if flat else []
    return shared + [
        table for name in metric_names if name not in flat for table in metric_tables(comparison, name)
    ]


def _pivot(comparison: Comparison, metric_name: str, rows: pandas.DataFrame, axis: Axis | None,
           title: str) -> Table:
    values: list[float | str]
    if axis is None:
        values, columns = [], [capitalised(describe(metric_name).label)]
    else:
        values = [value for value in axis.values if (rows[axis.column] == value).any()]
        columns = [f"{axis.label}: {parameter_text(value)}" if not number else parameter_text(value)
                   for number, value in enumerate(values)]
    body = []
    for one in comparison.series:
        line = line_of(rows, one.label, axis.column if axis else None)
        found = [line] if axis is None else [line[line[axis.column] == value] for value in values]
        cells = [_cell(here, metric_name) for here in found]
        if any(cell != MISSING for cell in cells):
            # as at the right edge of the figure
            body.append((one.label, cells, [_goodness(here, metric_name) for here in reversed(found)]))
    return Table(title, columns, _best_first(body), metric_name)


def point_table(comparison: Comparison, metric_names: Sequence[str]) -> Table:
    """Several metrics at one representative point, which the title names."""
    rows = values_of(comparison, metric_names)
    axes = relevant_axes(comparison, metric_names)
    # The point must suit the metrics of all axes: a metric that ignores an axis has any of its rows there.
    most_dependent = max(metric_names, key=lambda name: len(relevant_axes(comparison, name)))
    point = representative(rows[rows["metric"] == most_dependent], axes)
    found = {}
    for name in metric_names:
        own = {axis.column for axis in relevant_axes(comparison, name)}
        found[name] = at(values_of(comparison, name), {key: point[key] for key in point if key in own})
    # by the metric that most have: errors and rates need not agree on the order
    telling = sorted(metric_names, key=lambda name: -found[name]["series"].nunique())
    body = []
    for one in comparison.series:
        lines = {name: line_of(found[name], one.label, None) for name in metric_names}
        cells = [_cell(lines[name], name) for name in metric_names]
        if any(cell != MISSING for cell in cells):
            body.append((one.label, cells, [_goodness(lines[name], name) for name in telling]))
    headings = [with_unit(describe(name).label, describe(name).unit) for name in metric_names]
    return Table(point_text(axes, point), headings, _best_first(body))


def _best_first(body: list[tuple[str, list[str], list[float]]]) -> list[tuple[str, list[str]]]:
    """Rows by their first known goodness; those that know an earlier one stand above those that do not."""
    def place(row: tuple[str, list[str], list[float]]) -> tuple[int, float]:
        known = [(number, -value) for number, value in enumerate(row[2]) if not math.isnan(value)]
        return known[0] if known else (len(row[2]), 0.0)

    return [(label, cells) for label, cells, _ in sorted(body, key=place)]


def _goodness(rows: pandas.DataFrame, metric_name: str) -> float:
    """The value, or its negative where less is better; NaN for none."""
    value = float(rows["value"].iloc[0]) if len(rows) else math.nan
    return value if describe(metric_name).higher_is_better else -value


def _cell(rows: pandas.DataFrame, metric_name: str) -> str:
    if rows.empty:
        return MISSING
    row = rows.iloc[0]
    return value_text(row["value"], row["ci_low"], row["ci_high"], metric_name)
