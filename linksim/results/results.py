"""What a run leaves behind, for Python."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from linksim.core.errors import StoreError
from linksim.results.manifest import read_manifest

TEXT_COLUMNS = ("method", "metric")
NUMBER_COLUMNS = ("value", "ci_low", "ci_high", "num_drops")


@dataclass(frozen=True)
class Results:
    """A finished (or partial) run in its folder."""

    folder: Path

    def to_pandas(self) -> pd.DataFrame:
        """The metrics: one row per method, metric and sweep point.

        Columns ``method, metric, value, ci_low, ci_high, num_drops``, then one per sweep axis: numbers where all of an
        axis are, else text.

        :raises StoreError: no such table, or a damaged one.
        """
        frame = read_metrics(self.folder / "metrics.csv")
        for name in frame.columns.difference([*TEXT_COLUMNS, *NUMBER_COLUMNS]):
            numbers = pd.to_numeric(frame[name], errors="coerce")
            frame[name] = frame[name] if numbers.isna().any() else numbers
        return frame.astype({"num_drops": int}) if frame["num_drops"].notna().all() else frame

    @property
    def manifest(self) -> dict[str, Any]:
        """The resolved scenario, hash, versions, seed, device, notes, wall time and command.

        :raises StoreError: none, or a damaged one.
        """
        manifest = read_manifest(self.folder)
        if manifest is None:
            raise StoreError(f"{self.folder} is not a linksim run: it has no manifest.json")
        return manifest


def read_metrics(path: Path) -> pd.DataFrame:
    """``metrics.csv`` with `NUMBER_COLUMNS` as float64 (NaN where empty) and everything else as text.

    :raises StoreError: missing or damaged; one line that names it.
    """
    if not path.is_file():
        raise StoreError(f"{path.parent} has no metrics.csv: nothing has been simulated yet, or the run was killed; "
                         "run it again")
    try:
        # everything as text first: pandas would read a method called "none" or "NA" as a missing value
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(f"cannot read {path}: {' '.join(str(error).split())}") from None
    missing = [name for name in ("method", "metric", "value") if name not in frame]
    if missing:
        raise StoreError(f"{path} is not a linksim result: no column {', '.join(missing)}")
    for name in NUMBER_COLUMNS:
        texts = frame[name] if name in frame else pd.Series("", frame.index)
        try:
            frame[name] = [float(text) if text.strip() else float("nan") for text in texts]
        except ValueError as error:
            raise StoreError(f"{path}, column {name!r}: {error}") from None
    return frame
