"""Per-drop values of measures at one sweep point, streamed from ``drops/*.parquet``."""

from __future__ import annotations

import functools
import operator
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy
import pyarrow
import pyarrow.dataset
import pyarrow.parquet

from linksim.core.errors import StoreError
from linksim.report.load import Run
from linksim.results.unit_file import units_of


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
