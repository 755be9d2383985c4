"""How metrics, values and sweep points are put into words, and which axes of a sweep a metric is shown over."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy
import pandas

from linksim.metrics.catalogue import Metric, metric
from linksim.report.comparison import Comparison
from linksim.report.load import Axis

MISSING = "–"


def describe(name: str) -> Metric:
    """The catalogue's entry, or a bare one for a metric of a plug-in or of a newer version."""
    try:
        return metric(name)
    except KeyError:
        unit = "dB" if name.endswith("_db") else "bit/s/Hz" if name.endswith("_bps_hz") else ""
        label = name.removesuffix("_bps_hz").removesuffix("_db").replace("_", " ")
        definition = "no definition in this version's catalogue"
        return Metric(name, label, unit, definition, name, "mean", higher_is_better=True, needs_link=True)


def capitalised(text: str) -> str:
    """First letter upper, the rest as it is (``SNR`` stays, and so does ``mAP``)."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def with_unit(label: str, unit: str) -> str:
    """``NMSE (dB)``; a label that ends in brackets already gets ``in dB``, not a second pair."""
    label = capitalised(label)
    if not unit:
        return label
    return f"{label} in {unit}" if label.endswith(")") else f"{label} ({unit})"


def axis_name(axis: Axis) -> str:
    """The label without its unit: ``SNR (dB)`` is ``SNR``."""
    return _split(axis.label)[0]


def point_text(axes: Iterable[Axis], point: Mapping[str, float | str]) -> str:
    """A sweep point in words, e.g. ``SNR = 10 dB, speed = 30 km/h``; empty for no axis."""
    parts = []
    for axis in axes:
        if axis.column in point:
            name, unit = _split(axis.label)
            parts.append(f"{name} = {parameter_text(point[axis.column])} {unit}".rstrip())
    return ", ".join(parts)


def parameter_text(value: float | str) -> str:
    """A parameter's value without needless zeros: ``10``, ``0.25``, ``−5``, ``3.5e+09``; a name as it is."""
    if isinstance(value, str):
        return value
    return f"{value:.6g}".replace("-", "−", 1) if value < 0 else f"{value:.6g}"


def value_text(value: float, low: float, high: float, metric_name: str) -> str:
    """``value ± half the interval``, with the decimals the unit deserves; ``–`` for a missing value."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    decimals = _decimals(metric_name)
    text = f"{value:.{decimals}f}".replace("-", "−")
    half = (high - low) / 2
    return f"{text} ± {half:.{decimals}f}" if math.isfinite(half) else text


def duration_text(seconds: float) -> str:
    """``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def file_stem(text: str) -> str:
    """A file name of letters, digits, ``_``, ``-`` and ``.`` only: a metric's name comes from a file."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "figure"


def _split(label: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.*?)\s*\(([^()]*)\)", label)
    return (found[1], found[2]) if found else (label, "")


def _decimals(metric_name: str) -> int:
    unit = describe(metric_name).unit
    return 2 if unit == "dB" else 3 if unit else 4


Point = dict[str, float | str]
"""A sweep point: axis column to value."""

MAX_PANELS = 4
LINK_STAGES = ("precoding", "transmission")


@dataclass(frozen=True)
class View:
    """One x-axis for a metric: a panel for each value of one further axis, the others fixed.

    :param panels: the points to fix, one a panel, e.g. ``[{"speed_kmh": 3}, {"speed_kmh": 30}]``.
    :param panel_axes: the axes that differ between panels.
    :param fixed: the axes held at one value in all panels, by column.
    """

    x_axis: Axis | None
    panels: list[Point]
    panel_axes: list[Axis] = field(default_factory=list)
    fixed: Point = field(default_factory=dict)


def values_of(comparison: Comparison, metric_names: str | Sequence[str]) -> pandas.DataFrame:
    """The rows of one metric (or several) that were simulated; infinite values are kept."""
    names = [metric_names] if isinstance(metric_names, str) else list(metric_names)
    frame = comparison.frame
    return frame[frame["metric"].isin(names) & frame["value"].notna()]


def relevant_axes(comparison: Comparison, metric_names: str | Sequence[str]) -> list[Axis]:
    """The axes a metric depends on, in sweep order.

    A metric of the CSI alone does not depend on the link (``needs_link`` and the axis' stage say so); any
    other axis counts once the values of some method differ along it.
    """
    rows = values_of(comparison, metric_names)
    return [axis for axis in _possible_axes(comparison, rows) if _varies(rows, axis, comparison.axes)]


def _possible_axes(comparison: Comparison, rows: pandas.DataFrame) -> list[Axis]:
    needs_link = any(describe(name).needs_link for name in rows["metric"].unique())
    return [axis for axis in comparison.axes if needs_link or axis.stage not in LINK_STAGES]


def _varies(rows: pandas.DataFrame, axis: Axis, axes: Sequence[Axis]) -> bool:
    others = [other.column for other in axes if other.column != axis.column]
    rows = rows[rows[axis.column].notna()]
    if rows[axis.column].nunique() < 2:
        return False
    for _, group in rows.groupby(["series", "metric", *others], dropna=False, sort=False):
        values = group["value"].to_numpy()
        if not numpy.all(numpy.isclose(values, values[0], rtol=1e-9, atol=0.0)):
            return True
    return False


def representative(rows: pandas.DataFrame, axes: Sequence[Axis]) -> Point:
    """One point near the middle of every axis, among the values at which most rows exist.

    Axis by axis, each within the values already chosen: in a partial run the point found has data.
    """
    point: Point = {}
    for axis in axes:
        known = [value for value in axis.values if (rows[axis.column] == value).any()]
        if not known:
            continue
        count = {value: int((rows[axis.column] == value).sum()) for value in known}
        middle = (len(axis.values) - 1) / 2
        best = [value for value in known if count[value] == max(count.values())]
        point[axis.column] = min(best, key=lambda value: abs(axis.values.index(value) - middle))
        rows = rows[rows[axis.column] == point[axis.column]]
    return point


def views(
    comparison: Comparison, metric_names: str | Sequence[str], *, against_axes: bool = True
) -> list[View]:
    """How to draw a metric: one view per axis it depends on; one without x-axis if it depends on none.

    :param against_axes: False gives a single view without x-axis, all axes as panels or fixed: for figures
        that have an x-axis of their own (NMSE over the horizon).
    """
    rows = values_of(comparison, metric_names)
    if rows.empty:
        return []
    axes = relevant_axes(comparison, metric_names)
    # An axis of which a partial run has one value only does not vary, but matters: that value is named.
    single = _single_values(rows, [a for a in _possible_axes(comparison, rows) if a not in axes])
    if not axes or not against_axes:
        return [_view(rows, None, axes, single)]
    return [_view(rows, x_axis, [axis for axis in axes if axis is not x_axis], single) for x_axis in axes]


def _single_values(rows: pandas.DataFrame, axes: Sequence[Axis]) -> Point:
    """Axes with several values in the scenario of which only one is there: a partial run."""
    present = {axis: rows[axis.column].dropna().unique() for axis in axes}
    return {
        axis.column: values[0]
        for axis, values in present.items() if len(values) == 1 and len(axis.values) > 1
    }


def _view(
    rows: pandas.DataFrame, x_axis: Axis | None, others: Sequence[Axis], single: Point
) -> View:
    few = [axis for axis in others if rows[axis.column].nunique() <= MAX_PANELS]
    panel_axes = few[:1]
    fixed = representative(rows, [axis for axis in others if axis not in panel_axes])
    if not panel_axes:
        return View(x_axis, [fixed], [], {**single, **fixed})
    axis = panel_axes[0]
    here = at(rows, fixed)
    values = [value for value in axis.values if (here[axis.column] == value).any()]
    return View(x_axis, [{**fixed, axis.column: value} for value in values], panel_axes, {**single, **fixed})


def at(rows: pandas.DataFrame, point: Point) -> pandas.DataFrame:
    """The rows at a sweep point (axes left out are free)."""
    for column, value in point.items():
        rows = rows[rows[column] == value]
    return rows


def line_of(rows: pandas.DataFrame, label: str, x_column: str | None) -> pandas.DataFrame:
    """One series' rows in the order of x, a row per x.

    Axes the metric does not depend on repeat each value; the first stands for all.
    """
    rows = rows[rows["series"] == label]
    if x_column is None:
        return rows.head(1)
    rows = rows[rows[x_column].notna()]
    return rows.drop_duplicates(x_column).sort_values(x_column)
