"""A run folder read back: `load_run` turns ``manifest.json`` and ``metrics.csv`` into a `Run`."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import pandas

from linksim.errors import StoreError

TEXT_COLUMNS = ("method", "metric")
NUMBER_COLUMNS = ("value", "ci_low", "ci_high", "num_drops")
PERFECT_CSI = "perfect CSI"


@dataclass(frozen=True)
class Axis:
    """One swept parameter.

    :param key: the scenario field, e.g. ``link.snr_db``.
    :param column: its column in ``metrics.csv`` and in the drops, e.g. ``snr_db``.
    :param label: with the unit in brackets, e.g. ``SNR (dB)``.
    :param values: the swept values, in the scenario's order; all text for a categorical axis.
    :param stage: the first stage of the chain that the axis changes.
    """

    key: str
    column: str
    label: str
    values: tuple[float, ...] | tuple[str, ...]
    stage: str = ""

    @property
    def is_categorical(self) -> bool:
        """Whether the values are names (duplex modes, estimators), which have no distances."""
        return any(isinstance(value, str) for value in self.values)


@dataclass(frozen=True)
class Method:
    """One line of the figures. ``kind`` is ``reference``, ``method`` or ``bound``."""

    name: str
    kind: str = "method"
    summary: str = ""


@dataclass(frozen=True)
class Run:
    """What a run folder says, without its drops (see `linksim.report.drops`).

    :param metrics: ``metrics.csv``: text in ``method``, ``metric`` and the columns of categorical axes; all
        others float64, NaN where a point was not simulated.
    :param shown: the metrics to report, in order (without the NMSE of single steps).
    :param horizon_s: predicted times after the last history sample; empty if the manifest has none.
    """

    folder: Path
    name: str
    manifest: dict[str, Any]
    metrics: pandas.DataFrame
    axes: tuple[Axis, ...]
    methods: tuple[Method, ...]
    shown: tuple[str, ...]
    horizon_s: tuple[float, ...] = ()


def load_run(folder: Path | str) -> Run:
    """Read a run folder, finished or partial.

    :raises StoreError: not a linksim run, or a file in it cannot be read; one line that names it.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    metrics = _read_metrics(folder / "metrics.csv")
    try:
        axes = _axes(manifest, metrics)
        methods = _methods(manifest, metrics)
        named = manifest.get("metrics") or list(dict.fromkeys(metrics["metric"]))
        horizon = tuple(float(time) for time in manifest.get("horizon_s") or ())
        shown = tuple(str(name) for name in named if not str(name).startswith("nmse_step_"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{folder / 'manifest.json'} is not a linksim manifest: {_line(error)}") from None
    missing = [axis.column for axis in axes if axis.column not in metrics]
    if missing:
        raise StoreError(f"{folder / 'metrics.csv'} lacks the column of a sweep axis: {', '.join(missing)}")
    try:
        axes = tuple(_match(axis, metrics) for axis in axes)
    except ValueError as error:
        raise StoreError(f"{folder / 'metrics.csv'}: {_line(error)}") from None
    name = str(manifest.get("scenario_name") or folder.resolve().name)
    return Run(folder, name, manifest, metrics, axes, methods, shown, horizon)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder: give the output folder of a linksim run")
    if not path.is_file():
        raise StoreError(f"{folder} is not a linksim run: it has no manifest.json")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {_line(error)}") from None
    if not isinstance(manifest, dict):
        raise StoreError(f"{path} is not a linksim manifest: expected a mapping")
    return manifest


def _read_metrics(path: Path) -> pandas.DataFrame:
    if not path.is_file():
        raise StoreError(f"{path.parent} has no metrics.csv: nothing has been simulated yet")
    try:
        # Everything as text first: pandas would read a method called "none" or "NA" as a missing value.
        frame = pandas.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(f"cannot read {path}: {_line(error)}") from None
    missing = [name for name in ("method", "metric", "value") if name not in frame]
    if missing:
        raise StoreError(f"{path} is not a linksim result: no column {', '.join(missing)}")
    for name in NUMBER_COLUMNS:
        if name not in frame:
            frame[name] = ""
        try:
            frame[name] = _numbers(frame[name])
        except ValueError as error:
            raise StoreError(f"{path}, column {name!r}: {_line(error)}") from None
    return frame


def _numbers(texts: Iterable[str]) -> list[float]:
    return [float(text) if text.strip() else float("nan") for text in texts]


def _axes(manifest: dict[str, Any], metrics: pandas.DataFrame) -> tuple[Axis, ...]:
    if manifest.get("axes") is None:
        columns = [name for name in metrics if name not in (*TEXT_COLUMNS, *NUMBER_COLUMNS)]
        return tuple(Axis(column, column, column, _values(metrics[column].unique())) for column in columns)
    return tuple(
        Axis(
            str(axis.get("key", axis["column"])), str(axis["column"]), str(axis.get("label", axis["column"])),
            _values(axis.get("values", ())), str(axis.get("stage", "")),
        )
        for axis in manifest["axes"]
    )


def _values(values: Iterable[Any]) -> tuple[float, ...] | tuple[str, ...]:
    """Numbers if all are, else text."""
    values = [value for value in values if value != ""]
    try:
        return tuple(float(value) for value in values)
    except ValueError:
        return tuple(str(value) for value in values)


def _match(axis: Axis, metrics: pandas.DataFrame) -> Axis:
    """Make the column (in place) and the axis hold the very same values; both went through text."""
    if axis.is_categorical:
        texts = metrics[axis.column]
        metrics[axis.column] = texts.where(texts != "")
        return replace(axis, values=tuple(dict.fromkeys([*axis.values, *texts[texts != ""]])))
    column = numpy.array(_numbers(metrics[axis.column]), dtype=float)
    for value in axis.values:
        column[numpy.isclose(column, value, rtol=1e-6, atol=1e-12)] = value
    metrics[axis.column] = column
    extra = sorted(set(column[~numpy.isnan(column)]) - set(axis.values))
    return replace(axis, values=(*axis.values, *map(float, extra)))


def _methods(manifest: dict[str, Any], metrics: pandas.DataFrame) -> tuple[Method, ...]:
    listed = {
        str(method["name"]): Method(
            str(method["name"]), str(method.get("kind") or _guess_kind(str(method["name"]))),
            str(method.get("summary") or ""),
        )
        for method in manifest.get("methods") or ()
    }
    for name in dict.fromkeys(metrics["method"]):
        listed.setdefault(name, Method(name, _guess_kind(name)))
    return tuple(listed.values())


def _guess_kind(name: str) -> str:
    if name == PERFECT_CSI:
        return "reference"
    return "bound" if name.endswith(("bound", "capacity")) else "method"


def _line(error: Exception) -> str:
    """The error as one line; a KeyError alone would print only the key."""
    text = f"no {error}" if isinstance(error, KeyError) else str(error)
    return re.sub(r"\s+", " ", text).strip() or type(error).__name__
