"""`linksim calibrate`: draw, check, write figures, numbers and the report."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from linksim.calibration.draw import METRICS_OF_PHASE, Values
from linksim.calibration.figures import write_figures
from linksim.calibration.large_scale_check import Finding, check_columns, columns
from linksim.calibration.report import write_report
from linksim.calibration.setups import Network
from linksim.calibration.study import (
    Comparison,
    Outcome,
    Study,
    all_setups,
    compare,
    run_earlier_version,
    run_setup,
)
from linksim.printing import say

DEFAULT_DROPS, QUICK_DROPS = 16, 2
LINKS_PER_DROP = 500
"""Independent links for each column of Table 7.5-6, for every drop asked for."""


def calibrate(folder: Path, drops: int = DEFAULT_DROPS, seed: int = 1, console: Console | None = None) -> Study:
    """Run the whole study and write it to a folder.

    :param folder: for ``README.md``, PNG and CSV files; files of an earlier run are replaced.
    :param drops: of 57 terminals for each set-up; see `linksim.calibration.study.num_parts`.
    :param seed: of every random stream.
    :param console: where progress is shown; silent by default.
    :raises StoreError: a file cannot be written.
    """
    study = run_study(drops, seed, console or Console(quiet=True))
    pictures = write_figures(study, folder)
    write_report(study, pictures, folder)
    return study


def run_study(drops: int, seed: int, console: Console) -> Study:
    """Draw and compare every set-up, and check the table of large-scale parameters."""
    began = time.monotonic()
    setups, table = all_setups(), columns()
    num_comparisons = sum(len(METRICS_OF_PHASE[setup.phase]) for setup in setups)
    outcomes: list[Outcome] = []
    comparisons: list[Comparison] = []
    earlier: dict[str, Values] = {}
    for setup in setups:
        outcome = run_setup(setup, drops, seed)
        if isinstance(setup, Network) and setup.phase != "large scale":
            earlier[setup.name] = run_earlier_version(setup, drops, seed)
        outcomes.append(outcome)
        comparisons += compare(outcome, num_comparisons)
        _progress(console, began, f"set-up {len(outcomes)}/{len(setups)}", f"{setup.name}: "
                  f"{len(outcome.plain['serving'])} terminals by both engines, "
                  f"{len(outcome.independent['serving'])} by linksim alone")
    findings: list[Finding] = []
    for number, found in enumerate(check_columns(table, LINKS_PER_DROP * drops, seed), start=1):
        findings += found
        if number % 6 == 0:
            _progress(console, began, f"table {number}/{len(table)}", f"{found[0].number} links for each column of "
                      "Table 7.5-6")
    return Study(drops, seed, outcomes, comparisons, earlier, findings, time.monotonic() - began)


def _progress(console: Console, began: float, place: str, text: str) -> None:
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    say(console, f"{minutes:>3}:{seconds:02}  {place:>13}  {text}")
