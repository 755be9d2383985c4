"""Learning curves of the trainings of the scenario: NMSE against what they have seen and cost, and their figure."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy
import pandas

from linksim.loading.load import load_scenario
from linksim.training.checkpoint import read_about
from linksim.training.preparation import parts_of
from studies.learning_curves.fit import Fit

SCENARIO = Path(__file__).parents[2] / "scenarios" / "prediction" / "learning_curves.yaml"
PAPER_SEQUENCES = 1.44e8
"""Of LLM4CP and CSI-ALM: 288,000 sequences, 500 times."""


def trainings() -> pandas.DataFrame:
    """What the trainings of the scenario have seen and cost, of those that are made: their checkpoints say so."""
    rows = []
    for part in parts_of(load_scenario(SCENARIO)):
        if part.is_learned and part.checkpoint is not None:
            record, epochs = read_about(part.checkpoint)["record"], part.training.num_epochs
            rows.append({"method": part.name.removesuffix(f" (num_epochs {epochs})"), "num_epochs": epochs,
                         "sequences": record["drops_seen"] * part.training.antenna_pairs, "cpu_s": record["cpu_s"]})
    return pandas.DataFrame(rows, columns=["method", "num_epochs", "sequences", "cpu_s"])


def curves(table: pandas.DataFrame, made: pandas.DataFrame) -> dict[str, pandas.DataFrame]:
    """Each method's NMSE (linear) with its standard error, against sequences seen and CPU time; three points at least.
    """
    rows = table[table["metric"] == "nmse_db"].dropna(subset=["value"])
    found = {}
    for method, of_method in rows.merge(made, on=["method", "num_epochs"]).groupby("method", sort=False):
        values = of_method.sort_values("sequences")
        if len(values) < 3:
            continue
        linear = 10 ** (values[["value", "ci_low", "ci_high"]].to_numpy() / 10)
        found[str(method)] = pandas.DataFrame({
            "sequences": values["sequences"].to_numpy(), "cpu_s": values["cpu_s"].to_numpy(), "nmse": linear[:, 0],
            "error": (linear[:, 2] - linear[:, 1]) / 2 / 1.96})
    return found


def draw(found: dict[str, pandas.DataFrame], fits: dict[str, Fit], path: Path) -> None:
    """Points, fits and intervals up to the papers' number of sequences; and the points against CPU time."""
    figure, (seen, spent) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", sharey=True)
    ahead = numpy.geomspace(1e4, PAPER_SEQUENCES, 80)
    for color, (name, curve) in zip(plt.rcParams["axes.prop_cycle"].by_key()["color"], found.items()):
        nmse_db = 10 * numpy.log10(curve["nmse"])
        seen.plot(curve["sequences"], nmse_db, "o", color=color, label=name)
        spent.plot(curve["cpu_s"] / 60, nmse_db, "o-", color=color, linewidth=1)
        low, middle, high = fits[name].at(ahead)
        seen.plot(ahead, 10 * numpy.log10(middle), color=color, linewidth=1)
        seen.fill_between(ahead, 10 * numpy.log10(low), 10 * numpy.log10(high), color=color, alpha=0.12, linewidth=0)
    seen.set(xscale="log", xlabel="sequences seen in training", ylabel="NMSE (dB)")
    spent.set(xscale="log", xlabel="CPU time of the training (minutes of one core)")
    seen.legend(fontsize=8)
    for axes in (seen, spent):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)
