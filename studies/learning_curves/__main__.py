"""``python -m studies.learning_curves RESULTS``: fits of learning curves, and where methods may change places."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy
import pandas

from studies.learning_curves.curves import PAPER_SEQUENCES, curves, draw, trainings
from studies.learning_curves.fit import crossing, fitted


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 2 where the folder has no learning curve."""
    parser = argparse.ArgumentParser(prog="python -m studies.learning_curves", description=__doc__)
    parser.add_argument("results", type=Path, help="folder of a run of scenarios/prediction/learning_curves.yaml")
    folder = parser.parse_args(arguments).results
    path = folder / "metrics.csv"
    table = pandas.read_csv(path) if path.is_file() else pandas.DataFrame({"method": [], "metric": []})
    if "num_epochs" not in table.columns:
        print(f"{path}: no learning curves: run scenarios/prediction/learning_curves.yaml first", file=sys.stderr)
        return 2
    found = curves(table, trainings())
    fits = {name: fitted(curve) for name, curve in found.items()}
    print("| | NMSE (dB) at sequences, CPU minutes | at 1.44e8 sequences, extrapolated (dB) | exponent |")
    print("|---|---|---|---|")
    for name, curve in found.items():
        low, middle, high = (10 * numpy.log10(part[0]) for part in fits[name].at(numpy.array([PAPER_SEQUENCES])))
        points = "; ".join(f"{10 * numpy.log10(point.nmse):.2f} at {point.sequences:.1e}, {point.cpu_s / 60:.1f}"
                           for point in curve.itertuples())
        print(f"| {name} | {points} | {middle:.1f} ({low:.1f} to {high:.1f}) | {fits[name].exponent:.2f} |")
    for name in found:
        for other in found:
            if name < other:
                print(f"{name} / {other}: {crossing(fits[name], fits[other], PAPER_SEQUENCES)}")
    draw(found, fits, folder / "learning_curves.png")
    print(f"drawn: {folder / 'learning_curves.png'}")
    return 0


sys.exit(main())
