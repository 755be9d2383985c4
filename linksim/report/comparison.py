"""The curves of one report: the methods of a run, or of several runs laid over one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas

from linksim.core.printing import visible
from linksim.report.load import Axis, Method, Run
from linksim.report.style import LineStyle, line_styles, style_of_run


@dataclass(frozen=True)
class Series:
    """One method of one run: a line of a figure, a row of a table."""

    label: str
    method: Method
    run: Run
    style: LineStyle


@dataclass(frozen=True)
class Comparison:
    """What figures and tables are made from.

    :param frame: ``metrics.csv`` of all runs, with the column ``series`` (a `Series` label).
    :param axes: the swept axes of all runs, joined by column.
    :param shown: the metrics to report, in order.
    """

    runs: tuple[Run, ...]
    series: tuple[Series, ...]
    frame: pandas.DataFrame
    axes: tuple[Axis, ...]
    shown: tuple[str, ...]

    @property
    def title(self) -> str:
        return " and ".join(run_names(self.runs))


def compare(runs: Sequence[Run]) -> Comparison:
    """Join runs: a method that only one run has keeps its name, one that several have is told by the run's.

    :raises ValueError: no run.
    """
    if not runs:
        raise ValueError("nothing to compare: give at least one run")
    methods = {method.name: method for run in reversed(runs) for method in run.methods}
    order = list(dict.fromkeys(method.name for run in runs for method in run.methods))
    styles = line_styles([methods[name] for name in order])
    count = Counter(method.name for run in runs for method in run.methods)
    series, frames = [], []
    for index, (run, run_name) in enumerate(zip(runs, run_names(runs))):
        labels = {}
        for method in run.methods:
            label = visible(f"{method.name} ({run_name})" if count[method.name] > 1 else method.name)
            style = styles[method.name] if len(runs) == 1 else style_of_run(styles[method.name], index, len(runs))
            labels[method.name] = label
            series.append(Series(label, method, run, style))
        frames.append(run.metrics.assign(series=run.metrics["method"].map(labels)))
    axes = _join_axes(runs)
    frames = [_with_fixed_axes(frame, run, axes) for frame, run in zip(frames, runs)]
    # By method first, then by run: the lines to be compared stand together in the legend.
    series.sort(key=lambda item: order.index(item.method.name))
    frame = pandas.concat(frames, ignore_index=True)
    axes = tuple(_with_values(axis, frame[axis.column].dropna().unique()) for axis in axes)
    shown = tuple(dict.fromkeys(name for run in runs for name in run.shown))
    return Comparison(tuple(runs), tuple(series), frame, axes, shown)


def relabelled(comparison: Comparison, label: Callable[[str], str]) -> Comparison:
    """The same under other labels, which are told apart as the old ones are."""
    series = tuple(replace(one, label=label(one.label)) for one in comparison.series)
    frame = comparison.frame.assign(series=comparison.frame["series"].map(label))
    return replace(comparison, series=series, frame=frame)


def run_names(runs: Sequence[Run]) -> list[str]:
    """Short distinct names: the scenario's; the folder's where runs share a scenario; else numbered."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{name} #{number}" for number, name in enumerate(names, 1)]
    return names


def _join_axes(runs: Sequence[Run]) -> tuple[Axis, ...]:
    joined: dict[str, Axis] = {}
    for axis in (axis for run in runs for axis in run.axes):
        joined[axis.column] = _with_values(joined.get(axis.column, axis), axis.values)
    return tuple(joined.values())


def _with_values(axis: Axis, values: Iterable[float | str]) -> Axis:
    """The axis with more values: numbers sorted, names in the order they come."""
    joined = tuple(dict.fromkeys([*axis.values, *values]))
    if len(joined) == len(axis.values):
        return axis
    names = any(isinstance(value, str) for value in joined)
    return replace(axis, values=tuple(map(str, joined)) if names else tuple(sorted(map(float, joined))))


def _with_fixed_axes(frame: pandas.DataFrame, run: Run, axes: Sequence[Axis]) -> pandas.DataFrame:
    """An axis that only another run sweeps gets the value this run's scenario fixes."""
    own = {axis.column for axis in run.axes}
    scenario = run.manifest.get("scenario")
    return frame.assign(
        **{axis.column: scenario_field(scenario, axis.key) for axis in axes if axis.column not in own}
    )


def scenario_field(scenario: Any, key: str) -> float | str:
    """A field of a manifest's scenario as an axis would have it; NaN where there is none."""
    for part in key.split("."):
        scenario = scenario.get(part) if isinstance(scenario, dict) else None
    if isinstance(scenario, str):
        return scenario
    is_number = isinstance(scenario, int | float) and not isinstance(scenario, bool)
    return float(scenario) if is_number else float("nan")
