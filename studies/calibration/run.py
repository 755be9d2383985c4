"""Channels against unmodified Sionna and TR 38.901: draw, check, write figures, numbers and the report.

    uv run python -m studies.calibration            # two hours on two cores
    uv run python -m studies.calibration --quick    # two drops: minutes, wider tolerances

Writes ``docs/calibration``. The exit code is 1 where a comparison does not agree.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.console import Console

from linksim.core.printing import make_console, say, write
from studies.calibration.draw import METRICS_OF_PHASE, Values
from studies.calibration.figures import write_figures
from studies.calibration.large_scale_check import Finding, check_columns, columns
from studies.calibration.report import write_report
from studies.calibration.setups import Network
from studies.calibration.study import (
    Comparison,
    Outcome,
    Study,
    all_setups,
    compare,
    run_earlier_version,
    run_setup,
)

DEFAULT_DROPS, QUICK_DROPS = 16, 2
LINKS_PER_DROP = 500
"""Independent links for each column of Table 7.5-6, for every drop asked for."""


def calibrate(folder: Path, drops: int = DEFAULT_DROPS, seed: int = 1, console: Console | None = None) -> Study:
    """Run the whole study and write it to a folder.

    :param folder: for ``README.md``, PNG and CSV files; files of an earlier run are replaced.
    :param drops: of 57 terminals for each set-up; see `studies.calibration.study.num_parts`.
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


def main(arguments: list[str] | None = None) -> int:
    """:returns: 0 if all comparisons agree."""
    parser = argparse.ArgumentParser(prog="python -m studies.calibration", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/calibration"), metavar="DIR",
                        help="for the report, figures and numbers; default: docs/calibration")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--drops", type=int, metavar="N", default=DEFAULT_DROPS,
                      help=f"of 57 terminals for each set-up; default: {DEFAULT_DROPS}")
    size.add_argument("--quick", dest="drops", action="store_const", const=QUICK_DROPS)
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    options = parser.parse_args(arguments)
    if options.drops < 1:
        parser.error(f"--drops {options.drops}: at least 1")
    study = calibrate(options.out, options.drops, options.seed, make_console())
    write(str(options.out / "README.md"))
    if not study.passed:
        write("error: not all comparisons agree: see the report", to_stderr=True)
    return 0 if study.passed else 1
