"""What a run leaves behind, for Python."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Results:
    """A finished (or partial) run in its folder."""

    folder: Path

    def to_pandas(self) -> pd.DataFrame:
        """The metrics: one row per method, metric and sweep point.

        Columns ``method, metric, value, ci_low, ci_high, num_drops``, then one per sweep axis.
        """
        return pd.read_csv(self.folder / "metrics.csv")

    @property
    def manifest(self) -> dict[str, Any]:
        """The resolved scenario, hash, versions, seed, device, notes, wall time and command."""
        return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
