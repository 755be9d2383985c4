"""Two runs drop by drop: what both simulated, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas
import pyarrow

from linksim.core.errors import ScenarioError, StoreError
from linksim.core.faults import suggestion
from linksim.report.comparison import scenario_field
from linksim.report.drops import counted, dataset_of, first_drops
from linksim.report.load import Axis, Run
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
