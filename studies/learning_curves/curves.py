"""Learning curves of the trainings of the scenario: NMSE against what they have seen and cost, and their figure."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy
import pandas

from studies.learning_curves.fit import Fit
from studies.trainings import made

SCENARIO = Path(__file__).parents[2] / "scenarios" / "prediction" / "learning_curves.yaml"
MEASURED = Path(__file__).with_name("measured.csv")
PAPER_SEQUENCES = 1.44e8
"""Of LLM4CP and CSI-ALM: 288,000 sequences, 500 times."""


_SWEPT = re.compile(r" \(num_epochs \d+\)$|, \d+ drops( twice)?$")
_SAMPLING_ERROR = 0.02
"""Share of the NMSE by which 2,250 validation drops, two antennas of each, miss that of all drops."""


def trainings() -> pandas.DataFrame:
    """Validation NMSE (linear) of trainings, and what they have seen and cost: those that were measured once, of which
    the file says so much, and in their place what the checkpoints of the scenario say of themselves, where there are
    any."""
    read = pandas.read_csv(MEASURED)
    before = pandas.DataFrame({"method": read["method"], "nmse": 10 ** (read["nmse_db"] / 10),
                               "sequences": read["sequences"], "cpu_s": 60 * read["cpu_minutes"]})
    here = made(SCENARIO)
    here = here.assign(method=here["name"].str.replace(_SWEPT, "", regex=True)).drop(columns="name")
    return pandas.concat([before, here]).drop_duplicates(["method", "sequences"], keep="last")


def keep(found: pandas.DataFrame) -> None:
    """Writes trainings to the file of what was measured."""
    found = found.sort_values(["method", "sequences"], kind="stable")
    columns = {"method": found["method"], "sequences": found["sequences"].astype(int),
               "nmse_db": (10 * numpy.log10(found["nmse"])).round(2), "cpu_minutes": (found["cpu_s"] / 60).round(1)}
    pandas.DataFrame(columns).to_csv(MEASURED, index=False)


def curves(made: pandas.DataFrame) -> dict[str, pandas.DataFrame]:
    """Each method's trainings with the standard error of their NMSE, in the order of what they have seen."""
    return {str(method): of_method.sort_values("sequences").assign(error=_SAMPLING_ERROR * of_method["nmse"])
            for method, of_method in made.groupby("method", sort=False)}


def draw(found: dict[str, pandas.DataFrame], fits: dict[str, Fit], path: Path) -> None:
    """Points, fits (of curves that have one) up to the papers' number of sequences; and the points against CPU time."""
    figure, (seen, spent) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", sharey=True)
    ahead = numpy.geomspace(1e4, PAPER_SEQUENCES, 80)
    for color, (name, curve) in zip(plt.rcParams["axes.prop_cycle"].by_key()["color"], found.items()):
        nmse_db = 10 * numpy.log10(curve["nmse"])
        seen.plot(curve["sequences"], nmse_db, "o", color=color, label=name)
        spent.plot(curve["cpu_s"] / 60, nmse_db, "o-", color=color, linewidth=1)
        if name not in fits:
            continue
        low, middle, high = fits[name].at(ahead)
        seen.plot(ahead, 10 * numpy.log10(middle), color=color, linewidth=1)
        seen.fill_between(ahead, 10 * numpy.log10(low), 10 * numpy.log10(high), color=color, alpha=0.12, linewidth=0)
    seen.set(xscale="log", xlabel="sequences seen in training", ylabel="validation NMSE (dB)")
    spent.set(xscale="log", xlabel="CPU time of the training (minutes of one core)")
    seen.legend(fontsize=8)
    for axes in (seen, spent):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)
