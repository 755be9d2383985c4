"""``python -m studies.learning_curves``: learning curves of the trainings made so far, fitted.

Up to which number of sequences the order of two methods is known; fits are of curves with three points at least.
Trainings of the scenario that were made on this machine stand in the place of those that were measured once.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path

import numpy

from studies.learning_curves.curves import MEASURED, PAPER_SEQUENCES, curves, draw, keep, trainings
from studies.learning_curves.fit import crossing, fitted


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0."""
    parser = argparse.ArgumentParser(prog="python -m studies.learning_curves", description=__doc__)
    parser.add_argument("--figure", type=Path, default=Path("learning_curves.png"), help="where it is drawn")
    parser.add_argument("--keep", action="store_true", help=f"write all to {MEASURED.name}, to be read the next time")
    options = parser.parse_args(arguments)
    measured = trainings()
    if options.keep:
        keep(measured)
    found = curves(measured)
    fits = {name: fitted(curve) for name, curve in found.items() if len(curve) >= 3}
    print("| | NMSE (dB) at sequences, CPU minutes | at 1.44e8 sequences, extrapolated (dB) | exponent |")
    print("|---|---|---|---|")
    for name, curve in found.items():
        points = "; ".join(f"{10 * numpy.log10(point.nmse):.2f} at {point.sequences:.1e}, {point.cpu_s / 60:.1f}"
                           for point in curve.itertuples())
        ahead = "| |"
        if name in fits:
            low, middle, high = (10 * numpy.log10(part[0]) for part in fits[name].at(numpy.array([PAPER_SEQUENCES])))
            ahead = f"{middle:.1f} ({low:.1f} to {high:.1f}) | {fits[name].exponent:.2f} |"
        print(f"| {name} | {points} | {ahead}")
    for one, other in combinations(fits, 2):
        print(f"{one} / {other}: {crossing(fits[one], fits[other], PAPER_SEQUENCES)}")
    draw(found, fits, options.figure)
    print(f"drawn: {options.figure}")
    return 0


sys.exit(main())
