"""The three kinds of figure: curves with interval bands, dots with intervals, distributions."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from linksim.report import style
from linksim.report.canvas import add_legend, new_figure, panels_across, wrapped
from linksim.report.comparison import Series
from linksim.report.wording import parameter_text, value_text

EXACT_DB = -100.0
"""NMSE at or below this is the rounding error of complex64: drawn, it would flatten all other curves."""
MAX_TICKS = 10
MAX_Y_LABEL = 36
MAX_CDF_POINTS = 400
LONG_TAIL = 3  # times as wide as 98 % of the values


def in_db(values: numpy.ndarray) -> numpy.ndarray:
    """Decibels of a power ratio, not below `EXACT_DB`."""
    return 10 * numpy.log10(numpy.maximum(values, 10 ** (EXACT_DB / 10)))


def draw_curves(series: Sequence[Series], panels: Sequence[Mapping[str, pandas.DataFrame]],
                titles: Sequence[str], heading: str, x_label: str, y_label: str,
                categories: Sequence[str] | None = None) -> Figure:
    """Curves with interval bands; dots with interval bars where the x-axis has names instead of numbers.

    :param panels: by panel, a series' label to its rows with ``x, value, ci_low, ci_high``.
    :param titles: a title for each panel; ``heading`` stands above all of them.
    :param categories: the names at x = 0, 1, 2, …
    """
    figure, axes = new_figure(len(panels))
    present = [one for one in series if any(len(lines.get(one.label, ())) for lines in panels)]
    drawn: dict[str, Line2D] = {}
    for panel, lines, title in zip(axes, panels, titles):
        for one in present:
            rows = lines.get(one.label)
            if rows is None or rows.empty:
                continue
            if categories is None:
                drawn[one.label] = _curve(panel, one, rows)
            else:
                drawn[one.label] = _at_categories(panel, one, rows, _dodge(one, present))
        panel.set_title(title)
    x_values = numpy.unique(numpy.concatenate([rows["x"] for lines in panels for rows in lines.values()]))
    # Names that do not fit side by side stand aslant, and the figure grows so that panels keep their height.
    width_in = figure.get_figwidth() / panels_across(len(axes))
    slanted = sum(len(name) + 2 for name in categories or ()) * 0.06 > width_in - 0.6
    if categories and slanted:
        figure.set_figheight(figure.get_figheight() + 0.022 * max(map(len, categories)))
    for panel in axes:
        if categories is None:
            set_x_ticks(panel, x_values)
        else:
            _name_categories(panel, categories, slanted)
    _label_outside(axes, x_label, y_label)
    return _finish(figure, heading, _as_they_end(present, panels), drawn)


def _as_they_end(series: Sequence[Series], panels: Sequence[Mapping[str, pandas.DataFrame]]) -> list[Series]:
    """In the order in which the curves end at the right edge of the last panel, the uppermost first."""
    def height(one: Series) -> float:
        last = next(rows for lines in reversed(panels) if (rows := lines.get(one.label)) is not None and len(rows))
        return float(last.loc[last["x"].idxmax(), "value"])

    return sorted(series, key=height, reverse=True)


def make_logarithmic(figure: Figure, lines: Sequence[pandas.DataFrame]) -> None:
    """Decades upwards for error rates; curves leave through the floor towards a rate of zero.

    The floor lies below the least upper end of an interval: nothing is known below.
    """
    ends = numpy.concatenate([rows[name].to_numpy(dtype=float) for rows in lines for name in ("value", "ci_high")])
    ends = ends[numpy.isfinite(ends) & (ends > 0)]
    if not len(ends):
        return
    floor = 0.5 * ends.min()
    for panel in figure.axes:
        for line in panel.lines:
            line.set_ydata(numpy.maximum(numpy.asarray(line.get_ydata(), dtype=float), 0.8 * floor))
        for path in (path for band in panel.collections for path in band.get_paths()):
            vertices = numpy.asarray(path.vertices)
            vertices[:, 1] = numpy.maximum(vertices[:, 1], 0.8 * floor)
        panel.set_yscale("log")
        panel.set_ylim(floor, 1.2 * max(1.0, ends.max()))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _curve(panel: Axes, one: Series, rows: pandas.DataFrame) -> Line2D:
    x, value = rows["x"].to_numpy(), rows["value"].to_numpy()
    looks = one.style.line() if len(rows) > 1 else {**one.style.line(), **one.style.dot()}
    (line,) = panel.plot(x, value, **looks)
    low, high = _finite_interval(rows)
    color, zorder = one.style.color, one.style.zorder
    if len(rows) > 1 and numpy.isfinite(low).any():
        panel.fill_between(x, low, high, color=color, alpha=style.BAND_ALPHA, linewidth=0, zorder=zorder - 1)
    elif numpy.isfinite(low).any():
        panel.vlines(x, low, high, color=color, linewidth=0.9, zorder=zorder)
    return line


def _at_categories(panel: Axes, one: Series, rows: pandas.DataFrame, shift: float) -> Line2D:
    """A dot and its interval at each name, or, for a limit, a level across it: no line joins names."""
    x, value = rows["x"].to_numpy(), rows["value"].to_numpy()
    color, zorder = one.style.color, one.style.zorder
    low, high = _finite_interval(rows)
    if not one.style.marker:
        panel.hlines(
            value, x - 0.42, x + 0.42, color=color, linestyles=one.style.linestyle,
            linewidth=one.style.linewidth, zorder=zorder,
        )
        for place, bottom, top in zip(x, low, high):
            panel.fill_between(
                [place - 0.42, place + 0.42], bottom, top, color=color, alpha=style.BAND_ALPHA, linewidth=0,
                zorder=zorder - 1,
            )
        return Line2D([], [], **one.style.line())
    panel.vlines(x + shift, low, high, color=color, linewidth=0.9, zorder=zorder)
    (dots,) = panel.plot(x + shift, value, linestyle="None", zorder=zorder, **one.style.dot())
    return dots


def _dodge(one: Series, present: Sequence[Series]) -> float:
    """Sideways shift that keeps the dots of a category apart."""
    dots = [other.label for other in present if other.style.marker]
    if one.label not in dots or len(dots) < 2:
        return 0.0
    return 0.64 * (dots.index(one.label) / (len(dots) - 1) - 0.5)


def _name_categories(panel: Axes, names: Sequence[str], slanted: bool) -> None:
    looks: dict[str, Any] = {"rotation": 20, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    panel.set_xticks(range(len(names)), [name.replace("_", " ") for name in names], **looks)
    panel.tick_params(axis="x", length=0)
    panel.set_xlim(-0.5, len(names) - 0.5)
    panel.grid(False, axis="x")
    for place in range(1, len(names)):
        panel.axvline(place - 0.5, color="#DDDDDD", linewidth=0.5, zorder=0)


def _finite_interval(rows: pandas.DataFrame) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The interval, NaN where it is not known; an end at infinity (the dB of zero) is cut at the value."""
    value, low, high = (rows[name].to_numpy(dtype=float) for name in ("value", "ci_low", "ci_high"))
    known = ~(numpy.isnan(low) | numpy.isnan(high))
    low = numpy.where(numpy.isinf(low), value, low)
    high = numpy.where(numpy.isinf(high), value, high)
    return numpy.where(known, low, numpy.nan), numpy.where(known, high, numpy.nan)


def draw_dots(rows: pandas.DataFrame, series: Sequence[Series], metric_name: str, heading: str,
              x_label: str, *, best_is_high: bool) -> Figure:
    """One value per series, best on top, with its interval and the number beside it.

    :param rows: indexed by series label, with ``value, ci_low, ci_high``.
    """
    by_label = {one.label: one for one in series}
    rows = rows.sort_values("value", ascending=best_is_high, kind="stable")
    figure, (panel,) = new_figure(1, panel_height_in=max(1.3, 0.55 + 0.19 * len(rows)))
    low, high = _finite_interval(rows)
    for place, (label, row) in enumerate(rows.iterrows()):
        looks = by_label[label].style
        panel.hlines(place, low[place], high[place], color=looks.color, linewidth=1.2, zorder=3)
        panel.plot(row["value"], place, linestyle="None", zorder=4, **looks.dot())
        text = value_text(row["value"], row["ci_low"], row["ci_high"], metric_name)
        panel.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=6.5)
    panel.set_yticks(range(len(rows)), [wrapped(str(label)) for label in rows.index])
    panel.set_ylim(-0.6, len(rows) - 0.4)
    panel.tick_params(axis="y", length=0)
    panel.set_xlabel(x_label)
    panel.margins(x=0.06)
    return _finish(figure, heading, (), {})


def draw_distributions(series: Sequence[Series], samples: Mapping[str, numpy.ndarray], heading: str,
                       x_label: str, *, logarithmic: bool = False) -> Figure:
    """Empirical distribution functions; the axis ends where a long tail to the right would press all else together.

    :param samples: a series' label to its finite values; few enough points are drawn to keep a PDF small.
    :param logarithmic: decades along the axis, from the least hundredth of a series on; curves enter from the left.
    """
    figure, (panel,) = new_figure(1)
    drawn = {}
    for one in series:
        values = samples.get(one.label)
        if values is not None and len(values):
            level = numpy.linspace(0, 1, min(len(values) + 1, MAX_CDF_POINTS))
            quantiles = numpy.quantile(values, level, method="inverted_cdf")
            looks = {**one.style.line(), "marker": one.style.marker or "None", "markevery": 0.16}
            (drawn[one.label],) = panel.plot(quantiles, level, drawstyle="steps-pre", **looks)
    low = min(values.min() for values in samples.values() if len(values))
    usual, high = (max(numpy.quantile(values, level) for values in samples.values() if len(values))
                   for level in (0.98, 1))
    positive = [values[values > 0] for values in samples.values() if (values > 0).any()]
    if logarithmic and positive:
        panel.set_xscale("log")
        panel.set_xlim(min(numpy.quantile(values, 0.01) for values in positive), high)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif high - low > LONG_TAIL * (usual - low) > 0:
        panel.set_xlim(low - 0.02 * (usual - low), low + 1.2 * (usual - low))
    panel.set_ylim(0, 1)
    panel.set_xlabel(x_label)
    panel.set_ylabel("Cumulative distribution")
    from_left = sorted((one for one in series if one.label in drawn), key=lambda one: numpy.median(samples[one.label]))
    return _finish(figure, heading, from_left, drawn)


def set_x_ticks(panel: Axes, values: numpy.ndarray) -> None:
    """Ticks at the swept values if they are few; a logarithmic axis if they were chosen by ratio."""
    if is_geometric(values):
        panel.set_xscale("log")
        panel.xaxis.set_minor_locator(NullLocator())
    elif len(values) > MAX_TICKS or numpy.diff(values).min(initial=numpy.inf) < 0.06 * numpy.ptp(values):
        return
    panel.xaxis.set_major_locator(FixedLocator(values.tolist(), nbins=MAX_TICKS))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: parameter_text(value)))


def is_geometric(values: numpy.ndarray) -> bool:
    """Whether sorted values are spaced by ratio rather than by difference, over more than a decade."""
    if len(values) < 3 or values[0] <= 0 or values[-1] < 16 * values[0]:
        return False
    steps, ratios = numpy.diff(values), numpy.diff(numpy.log(values))
    return bool(ratios.std() / ratios.mean() < 0.5 * steps.std() / steps.mean())


def _label_outside(axes: Sequence[Axes], x_label: str, y_label: str) -> None:
    """Labels at the left and lowest panels only; a panel with none below it counts as lowest."""
    for panel in axes:
        if (place := panel.get_subplotspec()) is None:  # of no grid: only others' figures have such panels
            continue
        lowest = place.num1 + place.get_gridspec().ncols >= len(axes)
        panel.tick_params(labelbottom=lowest)
        if lowest:
            panel.set_xlabel(x_label)
        if place.is_first_col():
            panel.set_ylabel("\n".join(textwrap.wrap(y_label, MAX_Y_LABEL)))


def _finish(figure: Figure, heading: str, series: Sequence[Series], drawn: dict[str, Any]) -> Figure:
    if heading:
        figure.suptitle(wrapped_heading(heading, figure))
    labels = [one.label for one in series if one.label in drawn]
    add_legend(figure, [drawn[label] for label in labels], labels)
    return figure


def wrapped_heading(heading: str, figure: Figure) -> str:
    """Broken at commas rather than cut off at the figure's edge."""
    limit, lines = int(figure.get_figwidth() * 15), [""]
    for part in heading.split(", "):
        if lines[-1] and len(lines[-1]) + len(part) > limit:
            lines.append(part)
        else:
            lines[-1] = f"{lines[-1]}, {part}" if lines[-1] else part
    return "\n".join(lines)
