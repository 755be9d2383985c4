"""Which figures a run deserves, and their captions: `draw_figures` draws and writes all of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.figure
import numpy
import pandas
from matplotlib.typing import RcKeyType

from linksim.report import canvas, drawing, maps, style
from linksim.report.comparison import Comparison, relabelled
from linksim.report.load import Axis, read_measure, read_measures
from linksim.report.style import Fonts, fonts_for
from linksim.report.wording import (
    View,
    at,
    axis_name,
    capitalised,
    describe,
    file_stem,
    line_of,
    point_text,
    relevant_axes,
    representative,
    values_of,
    views,
    with_unit,
)

DISTRIBUTIONS = {
    # metric: (label, unit, how values are shown; those in dB are stored as ratios)
    "rate_bps_hz": ("achievable rate per user", "bit/s/Hz", "linear"),
    "nmse_db": ("NMSE per drop and user", "dB", "dB"),
    "position_error_cdf90_m": ("position error", "m", "logarithmic"),
}

TRUTH = "truth"
"""Title of a map's panel that is no method's."""


@dataclass(frozen=True)
class Figure:
    """A figure on disk. ``path`` is the PNG; the PDF lies beside it."""

    title: str
    caption: str
    path: Path
    width_in: float = style.COLUMN_WIDTH_IN
    metric: str = ""


def draw_figures(comparison: Comparison, folder: Path) -> list[Figure]:
    """Draw and write every figure as PNG and PDF into ``folder``, in the order of a report.

    :raises StoreError: a figure cannot be written, or the drops cannot be read.
    """
    figures = []
    fonts = label_fonts(comparison)
    comparison = relabelled(comparison, fonts.drawable)
    looks: dict[RcKeyType, Any] = {**style.RC, "font.family": list(fonts.families)}
    with matplotlib.rc_context(looks), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        for drawing_, record in _all(comparison):
            path = folder / f"{file_stem(record.path.name)}.png"
            canvas.save(drawing_, path)
            figures.append(replace(record, path=path, width_in=float(drawing_.get_figwidth())))
    return figures


def label_fonts(comparison: Comparison) -> Fonts:
    """Fonts for the names of all curves."""
    return fonts_for(one.label for one in comparison.series)


Drawn = Iterator[tuple[matplotlib.figure.Figure, Figure]]


def _all(comparison: Comparison) -> Drawn:
    for name in comparison.shown:
        for view in views(comparison, name):
            drawn = _against(comparison, name, view, view.x_axis) if view.x_axis else _by_method(comparison, name, view)
            yield from drawn
    yield from _over_horizon(comparison)
    for name in DISTRIBUTIONS:
        if name in comparison.shown:
            yield from _distribution(comparison, name)
    if "nmse_db" in comparison.shown:
        yield from _map(comparison, "nmse_db", "nmse", "NMSE", drawing.in_db)
    for name in ("position_error_cdf90_m", "position_error_m"):
        if name in comparison.shown:
            yield from _map(comparison, name, "position_error_m", "position error", logarithmic=True)
            break
    if "path_loss_rmse_db" in comparison.shown:
        yield from _map(comparison, "path_loss_rmse_db", "path_loss_told_db", "path loss", true="path_loss_db")


def _against(comparison: Comparison, name: str, view: View, x_axis: Axis) -> Drawn:
    metric = describe(name)
    rows = values_of(comparison, name)
    panels: list[dict[str, pandas.DataFrame]] = []
    hidden: set[str] = set()
    for point in view.panels:
        here = at(rows, point)
        lines = {one.label: line_of(here, one.label, x_axis.column) for one in comparison.series}
        panels.append({
            label: _drawable(line.assign(x=_positions(line, x_axis)), metric.unit, label, hidden)
            for label, line in lines.items()
        })
    if not any(len(line) for lines in panels for line in lines.values()):
        return
    fixed = point_text(comparison.axes, view.fixed)
    figure = drawing.draw_curves(
        comparison.series, panels, [point_text(view.panel_axes, point) for point in view.panels], fixed,
        x_axis.label, with_unit(metric.label, metric.unit),
        categories=list(map(str, x_axis.values)) if x_axis.is_categorical else None,
    )
    if name == "bler":
        drawing.make_logarithmic(figure, [rows for lines in panels for rows in lines.values()])
    bars = "Bars" if x_axis.is_categorical else "Bands"
    title = f"{capitalised(metric.label)} versus {axis_name(x_axis)}"
    yield figure, Figure(
        title + (f" at {fixed}" if fixed else ""),
        f"{_note(metric.higher_is_better)} {bars}: {_intervals(comparison)}.{_off_scale(panels, hidden)}"
        f"{_drops(rows)}",
        Path(f"{name}_vs_{x_axis.column}"), metric=name,
    )


def _positions(line: pandas.DataFrame, axis: Axis) -> pandas.Series:
    """Where values stand on the x-axis: names stand at 0, 1, 2, … in the sweep's order."""
    values = line[axis.column]
    return values.map(axis.values.index).astype(float) if axis.is_categorical else values


def _by_method(comparison: Comparison, name: str, view: View) -> Drawn:
    metric = describe(name)
    rows = at(values_of(comparison, name), view.panels[0])
    hidden: set[str] = set()
    lines = [
        _drawable(line_of(rows, one.label, None), metric.unit, one.label, hidden) for one in comparison.series
    ]
    lines = [line for line in lines if not line.empty]
    if not lines:
        return
    frame = pandas.concat(lines).set_index("series")
    fixed = point_text(comparison.axes, view.fixed)
    label = with_unit(metric.label, metric.unit)
    figure = drawing.draw_dots(
        frame, comparison.series, name, fixed, label, best_is_high=metric.higher_is_better
    )
    title = f"{capitalised(metric.label)} by method"
    yield figure, Figure(
        title + (f" at {fixed}" if fixed else ""),
        f"{_note(metric.higher_is_better)} Best on top; lines: {_intervals(comparison)}."
        f"{_off_scale([dict.fromkeys(frame.index, frame)], hidden)}{_drops(rows)}",
        Path(f"{name}_by_method"), metric=name,
    )


def _over_horizon(comparison: Comparison) -> Drawn:
    found = {name: re.fullmatch(r"nmse_step_(\d+)_db", name) for name in comparison.frame["metric"].unique()}
    steps = {name: int(match[1]) for name, match in found.items() if match}
    layout = views(comparison, list(steps), against_axes=False)
    if len(steps) < 2 or not layout:
        return
    view, rows = layout[0], values_of(comparison, list(steps))
    times, x_label = _step_times(comparison, max(steps.values()))
    rows = rows.assign(x=[times[steps[name] - 1] for name in rows["metric"]])
    hidden: set[str] = set()
    panels = [
        {one.label: _drawable(line_of(at(rows, point), one.label, "x"), "dB", one.label, hidden)
         for one in comparison.series}
        for point in view.panels
    ]
    if not any(len(line) for lines in panels for line in lines.values()):
        return
    fixed = point_text(comparison.axes, view.fixed)
    figure = drawing.draw_curves(
        comparison.series, panels, [point_text(view.panel_axes, point) for point in view.panels], fixed,
        x_label, "NMSE (dB)",
    )
    yield figure, Figure(
        "NMSE versus prediction horizon" + (f" at {fixed}" if fixed else ""),
        f"NMSE of each predicted step alone. {_note(False)} Bands: {_intervals(comparison)}."
        f"{_off_scale(panels, hidden)}{_drops(rows)}",
        Path("nmse_vs_horizon"), metric="nmse_db",
    )


def _step_times(comparison: Comparison, num_steps: int) -> tuple[list[float], str]:
    """Times of the steps in ms; their numbers where the runs do not state one common horizon."""
    horizons = {run.horizon_s for run in comparison.runs}
    horizon = max(horizons, key=len)
    if len(horizon) >= num_steps and all(h == horizon[: len(h)] for h in horizons):
        return [round(1e3 * time, 9) for time in horizon], "Time after the last known sample (ms)"
    return [float(step) for step in range(1, num_steps + 1)], "Predicted step"


def _distribution(comparison: Comparison, name: str) -> Drawn:
    rows = values_of(comparison, name)
    if rows.empty:
        return
    label, unit, scale = DISTRIBUTIONS[name]
    point = representative(rows, comparison.axes)
    named = [axis for axis in relevant_axes(comparison, name) if axis.column in point]
    # A run that does not sweep an axis may fix it elsewhere: only series with a result here belong here.
    here = set(at(rows, {axis.column: point[axis.column] for axis in named})["series"])
    samples: dict[str, numpy.ndarray] = {}
    for run in comparison.runs:
        own = {axis.column: point[axis.column] for axis in run.axes if axis.column in point}
        values = read_measure(run, str(describe(name).measure), own)
        for one in comparison.series:
            if one.run is run and one.label in here and len(values.get(one.method.name, ())):
                samples[one.label] = _shown_values(values[one.method.name], scale == "dB")
    hidden = {one for one, values in samples.items() if not len(values)}
    if len(hidden) == len(samples):
        return
    heading = point_text(named, point)
    figure = drawing.draw_distributions(comparison.series, samples, heading, with_unit(label, unit),
                                        logarithmic=scale == "logarithmic")
    title = f"Distribution of {label if label.startswith('NMSE') else 'the ' + label}"
    count = max(len(values) for values in samples.values())
    yield figure, Figure(
        title + (f" at {heading}" if heading else ""),
        f"Over drops and users, up to {count:,} values per method."
        f"{_off_scale([{one: values for one, values in samples.items() if len(values)}], hidden)}",
        Path(f"{name.removesuffix('_db')}_cdf"), metric=name,
    )


def _map(comparison: Comparison, name: str, measure: str, what: str,
         shown: Callable[[numpy.ndarray], numpy.ndarray] = numpy.asarray, true: str = "",
         logarithmic: bool = False) -> Drawn:
    """Where users stand and the value there, of runs that have kept it.

    :param name: of a metric that is shown; ``measure``, the column that is drawn.
    :param what: the value is, for titles.
    :param true: column of the true value, which gets a panel of its own.
    :param logarithmic: colours by decades.
    """
    point = representative(values_of(comparison, name), comparison.axes)
    named = [axis for axis in relevant_axes(comparison, name) if axis.column in point]
    places: dict[str, numpy.ndarray] = {}
    for run in comparison.runs:
        own = {axis.column: point[axis.column] for axis in run.axes if axis.column in point}
        found = read_measures(run, ["east_m", "north_m", measure, *([true] if true else [])], own)
        for one in comparison.series:
            rows = found.get(one.method.name)
            if one.run is run and rows is not None and len(rows):
                if true:
                    places.setdefault(TRUTH, rows[:, [0, 1, 3]])
                places[one.label] = numpy.column_stack([rows[:, :2], shown(rows[:, 2])])
    if not places:
        return
    unit = describe(name).unit
    heading = point_text(named, point)
    count = max(len(rows) for rows in places.values())
    ground = maps.footprint(comparison.runs[0].manifest)
    label = with_unit(what if what.isupper() else capitalised(what), unit)
    yield maps.draw_maps(places, heading, label, ground, logarithmic=logarithmic), Figure(
        f"Map of the {what}" + (f" at {heading}" if heading else ""),
        f"Each dot is a user in a drop of its own, {count:,} in all; the base station stands at the triangle."
        + (" Grey: buildings." if ground else "") + (" Like the truth is better." if true else " Lower is better."),
        Path(f"{what.replace(' ', '_').lower()}_map"), metric=name,
    )


def _shown_values(values: numpy.ndarray, in_db: bool) -> numpy.ndarray:
    if not in_db:
        return values[numpy.isfinite(values)]
    return drawing.in_db(values[numpy.isfinite(values) & (values > 10 ** (drawing.EXACT_DB / 10))])


def _drawable(rows: pandas.DataFrame, unit: str, label: str, hidden: set[str]) -> pandas.DataFrame:
    """The rows with a place on the paper; a series that loses some is added to ``hidden``."""
    shown = numpy.isfinite(rows["value"])
    if unit == "dB":
        shown &= rows["value"] > drawing.EXACT_DB
    if not shown.all():
        hidden.add(label)
    return rows[shown]


def _off_scale(panels: Sequence[Mapping[str, Sized]], hidden: set[str]) -> str:
    """Says which curves are missing, or miss points, because their error is zero (−∞ dB) or infinite."""
    drawn = {label for lines in panels for label, line in lines.items() if len(line)}
    gone, cut = sorted(hidden - drawn), sorted(hidden & drawn)
    text = f" Not drawn, as off the scale (exact: −∞ dB, or infinite): {', '.join(gone)}." if gone else ""
    return text + (f" Some points off the scale: {', '.join(cut)}." if cut else "")


def _intervals(comparison: Comparison) -> str:
    """``95 % confidence intervals``; without the level where the runs do not state a common one."""
    levels = {_confidence(run.manifest) for run in comparison.runs}
    level = levels.pop()
    return "confidence intervals" if levels or level is None else f"{100 * level:g} % confidence intervals"


def _confidence(manifest: dict[str, Any]) -> float | None:
    scenario = manifest.get("scenario")
    run = scenario.get("run") if isinstance(scenario, dict) else None
    level = run.get("confidence") if isinstance(run, dict) else None
    return level if isinstance(level, float) else None


def _note(higher_is_better: bool) -> str:
    return f"{'Higher' if higher_is_better else 'Lower'} is better."


def _drops(rows: pandas.DataFrame) -> str:
    count = rows["num_drops"].dropna()
    if count.empty:
        return ""
    low, high = int(count.min()), int(count.max())
    return f" {low:,} drops per point." if low == high else f" {low:,} to {high:,} drops per point."
