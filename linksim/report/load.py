"""A run folder read back: `load_run` turns ``manifest.json`` and ``metrics.csv`` into a `Run`.

Per-drop values of measures at one sweep point are streamed from ``drops/*.parquet``.
"""

from __future__ import annotations

import functools
import hashlib
import operator
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import pandas
import pyarrow
import pyarrow.dataset
import pyarrow.parquet

from linksim.core.errors import StoreError
from linksim.metrics.catalogue import tell
from linksim.results.manifest import read_manifest
from linksim.results.results import NUMBER_COLUMNS, TEXT_COLUMNS, read_metrics
from linksim.results.store import REPLACING
from linksim.results.unit_file import units_of

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
    """What a run folder says, without its drops (see `linksim.report.load`).

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
    path = folder / "metrics.csv"
    metrics = read_metrics(path)
    if "schema_version" in manifest and hashlib.sha256(path.read_bytes()).hexdigest() != manifest.get("metrics_sha256"):
        raise StoreError(f"{path}: changed after linksim wrote it, or left behind by a kill; run the scenario again, "
                         "which writes it anew from the finished units")
    tell(manifest.get("plugged_metrics"))
    axes, methods = _axes(manifest, metrics), _methods(manifest, metrics)
    named = manifest.get("metrics") or list(dict.fromkeys(metrics["metric"]))
    shown = tuple(name for name in named if not name.startswith("nmse_step_"))
    missing = [axis.column for axis in axes if axis.column not in metrics]
    if missing:
        raise StoreError(f"{path} lacks the column of a sweep axis: {', '.join(missing)}")
    try:
        axes = tuple(_match(axis, metrics) for axis in axes)
    except ValueError as error:
        raise StoreError(f"{path}: {' '.join(str(error).split())}") from None
    name = manifest.get("scenario_name") or folder.resolve().name
    return Run(folder, name, manifest, metrics, axes, methods, shown, tuple(manifest.get("horizon_s", ())))


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder: give the output folder of a linksim run")
    manifest = read_manifest(folder)
    if manifest is None:
        raise StoreError(f"{folder} is not a linksim run: it has no manifest.json")
    if manifest.get("status") == REPLACING:
        raise StoreError(f"{folder}: a run with --fresh was killed while it replaced these results; run its scenario "
                         "again")
    return manifest


def _numbers(texts: Iterable[str]) -> list[float]:
    return [float(text) if text.strip() else float("nan") for text in texts]


def _axes(manifest: dict[str, Any], metrics: pandas.DataFrame) -> tuple[Axis, ...]:
    if manifest.get("axes") is None:
        columns = [name for name in metrics if name not in (*TEXT_COLUMNS, *NUMBER_COLUMNS)]
        return tuple(Axis(column, column, column, _values(metrics[column].unique())) for column in columns)
    return tuple(
        Axis(
            axis.get("key") or axis["column"], axis["column"], axis.get("label") or axis["column"],
            _values(axis.get("values", ())), axis.get("stage") or "",
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
        method["name"]: Method(method["name"], method.get("kind") or _guess_kind(method["name"]),
                               method.get("summary") or "")
        for method in manifest.get("methods") or ()
    }
    for name in dict.fromkeys(metrics["method"]):
        listed.setdefault(name, Method(name, _guess_kind(name)))
    return tuple(listed.values())


def _guess_kind(name: str) -> str:
    if name == PERFECT_CSI:
        return "reference"
    return "bound" if name.endswith(("bound", "capacity")) else "method"


def read_measure(run: Run, measure: str, point: Mapping[str, float | str]) -> dict[str, numpy.ndarray]:
    """Values of ``measure`` by method, over drops and users, at one sweep point.

    :param measure: a per-drop column, e.g. ``nmse`` (linear) or ``rate_bps_hz``.
    :param point: axis column to its value; axes left out are not filtered.
    :returns: method name to float array ``[num_values]`` without NaN; empty when the run has no such measure.
    :raises StoreError: a unit that cannot be read, or is not as linksim wrote it.
    """
    return {name: values[:, 0] for name, values in read_measures(run, [measure], point).items()}


def read_measures(run: Run, measures: Sequence[str], point: Mapping[str, float | str]) -> dict[str, numpy.ndarray]:
    """Several measures of the same drops and users, as `read_measure`: ``[num_values, measure]``.

    Only the columns needed are read, one record batch at a time: the drops of a long run do not fit in memory.
    """
    paths = list(units_of(run.folder, run.manifest).values())
    if not paths:
        return {}
    values: dict[str, list[numpy.ndarray]] = defaultdict(list)
    try:
        for batch in _batches(run, paths, measures, point):
            method = pyarrow.array(batch.column("method").cast(pyarrow.string())).dictionary_encode()
            index = method.indices.to_numpy(zero_copy_only=False)
            table = numpy.stack([batch.column(one).to_numpy(zero_copy_only=False) for one in measures], axis=1)
            for number, name in enumerate(method.dictionary.to_pylist()):
                values[name].append(table[index == number])
    except (OSError, pyarrow.ArrowException) as error:
        reason = re.sub(r"\s+", " ", str(error))
        raise StoreError(f"cannot read the drops of {run.folder}: {reason}") from None
    joined = {name: numpy.concatenate(parts).astype(float) for name, parts in values.items()}
    return {name: array[~numpy.isnan(array).any(1)] for name, array in joined.items()}


def counted(run: Run, paths: Sequence[Path]) -> dict[int | None, list[Path]]:
    """The files that hold drops which the run's metrics count, by how many of the first drops do; None: all.

    Others are of an earlier run of the same scenario that went on for longer.
    """
    counts = run.manifest.get("num_drops")
    if counts is None:
        return {None: list(paths)}
    found: dict[int | None, list[Path]] = defaultdict(list)
    for path in paths:
        if limit := counts.get(path.name.partition("-")[0]):
            found[limit].append(path)
    return found


def first_drops(limit: int | None) -> pyarrow.dataset.Expression | None:
    """The rows of so many of the first drops; None: all."""
    return None if limit is None else pyarrow.dataset.field("drop") < limit


def dataset_of(paths: Sequence[Path], alike: Sequence[Path] = ()) -> pyarrow.dataset.Dataset:
    """Units as one table, with the columns of all (and of others): those of another number of steps have other ones."""
    schemas = [pyarrow.parquet.read_schema(path).remove_metadata() for path in (*paths, *alike)]
    return pyarrow.dataset.dataset([str(path) for path in paths], format="parquet",
                                   schema=pyarrow.unify_schemas(schemas))


def _batches(run: Run, paths: Sequence[Path], measures: Sequence[str], point: Mapping[str, float | str]
             ) -> Iterator[pyarrow.RecordBatch]:
    for limit, files in counted(run, paths).items():
        dataset = dataset_of(files)
        if not {"method", *measures} <= set(dataset.schema.names):
            continue
        conditions = [one for one in (_at(point, dataset.schema.names), first_drops(limit)) if one is not None]
        yield from dataset.to_batches(columns=["method", *measures],
                                      filter=functools.reduce(operator.and_, conditions) if conditions else None)


def _at(point: Mapping[str, float | str], columns: list[str]) -> pyarrow.dataset.Expression | None:
    """The rows of one point; with a tolerance, since an axis may be stored as float32."""
    expression = None
    for column, value in point.items():
        if column in columns:
            field = pyarrow.dataset.field(column)
            if isinstance(value, str):
                here = field.cast("string") == value
            else:
                tolerance = 1e-6 * max(abs(value), 1e-9)
                here = (field >= value - tolerance) & (field <= value + tolerance)
            expression = here if expression is None else expression & here
    return expression
