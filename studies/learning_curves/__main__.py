"""``python -m studies.learning_curves RESULTS``: fits of learning curves, and where methods may change places."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy
import pandas

from studies.learning_curves.fit import Fit, crossing, fitted

SEQUENCES_A_PASS = 18_000
PAPER_SEQUENCES = 1.44e8
"""Of LLM4CP and CSI-ALM: 288,000 sequences, 500 times."""


def curves(table: pandas.DataFrame) -> dict[str, pandas.DataFrame]:
    """Each method's NMSE (linear) against sequences seen, with its standard error; those that do not learn left out."""
    rows = table[table["metric"] == "nmse_db"]
    found = {}
    for method, of_method in rows.groupby("method", sort=False):
        values = of_method.dropna(subset=["value"]).sort_values("num_epochs")
        if values["value"].nunique() < 3:
            continue
        linear = 10 ** (values[["value", "ci_low", "ci_high"]].to_numpy() / 10)
        found[str(method)] = pandas.DataFrame({
            "sequences": SEQUENCES_A_PASS * values["num_epochs"].to_numpy(), "nmse": linear[:, 0],
            "error": (linear[:, 2] - linear[:, 1]) / 2 / 1.96})
    return found


def draw(found: dict[str, pandas.DataFrame], fits: dict[str, Fit], path: Path) -> None:
    """Points, fits and intervals up to the papers' number of sequences."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    ahead = numpy.geomspace(1e4, PAPER_SEQUENCES, 80)
    for color, (name, curve) in zip(plt.rcParams["axes.prop_cycle"].by_key()["color"], found.items()):
        axes.plot(curve["sequences"], 10 * numpy.log10(curve["nmse"]), "o", color=color, label=name)
        low, middle, high = fits[name].at(ahead)
        axes.plot(ahead, 10 * numpy.log10(middle), color=color, linewidth=1)
        axes.fill_between(ahead, 10 * numpy.log10(low), 10 * numpy.log10(high), color=color, alpha=0.12, linewidth=0)
    axes.set(xscale="log", xlabel="sequences seen in training", ylabel="NMSE (dB)")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)


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
    found = curves(table)
    fits = {name: fitted(curve) for name, curve in found.items()}
    print("| | last point (dB) | at 1.44e8 sequences, extrapolated (dB) | exponent |\n|---|---|---|---|")
    for name, curve in found.items():
        low, middle, high = (10 * numpy.log10(part[0]) for part in fits[name].at(numpy.array([PAPER_SEQUENCES])))
        print(f"| {name} | {10 * numpy.log10(curve['nmse'].iloc[-1]):.2f} at {curve['sequences'].iloc[-1]:.1e} | "
              f"{middle:.1f} ({low:.1f} to {high:.1f}) | {fits[name].exponent:.2f} |")
    for name in found:
        for other in found:
            if name < other:
                print(f"{name} / {other}: {crossing(fits[name], fits[other], PAPER_SEQUENCES)}")
    draw(found, fits, folder / "learning_curves.png")
    print(f"drawn: {folder / 'learning_curves.png'}")
    return 0


sys.exit(main())
