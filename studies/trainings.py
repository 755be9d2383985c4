"""``python -m studies.trainings SCENARIO``: what a scenario's trainings came to and cost, as their checkpoints tell.

Seeds of one method are one row; with ``--against METHOD`` it says what each method has less than that one, seed by
seed: seeds share their drops.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import pandas

from linksim.loading.load import load_scenario
from linksim.training.checkpoint import read_about
from linksim.training.preparation import parts_of

COLUMNS = {"name": str, "nmse": float, "sequences": int, "cpu_s": float}
_SEED = re.compile(r" \(weights_seed (\d+)\)$")


def made(scenario_file: Path) -> pandas.DataFrame:
    """One row for each learned block that is trained: ``name`` as the trainer has it, ``nmse`` of its validation drops
    (linear), ``sequences`` that it has seen, one for each antenna pair, and ``cpu_s``."""
    scenario = load_scenario(scenario_file)
    all_pairs = scenario.channel.bs_array.num_antennas * scenario.channel.ue_array.num_antennas
    rows = []
    for part in parts_of(scenario):
        if part.is_learned and part.checkpoint is not None:
            about = read_about(part.checkpoint)
            of_a_drop = part.training.antenna_pairs if getattr(part.block.made_by, "sees_antenna_pairs", False) \
                else all_pairs
            record = about.get("record", {})  # of older checkpoints there is none
            rows.append((part.name, about["validation_nmse"], record.get("drops_seen", 0) * of_a_drop,
                         record.get("cpu_s", numpy.nan)))
    return pandas.DataFrame(rows, columns=[*COLUMNS]).astype(COLUMNS)


def table(found: pandas.DataFrame, against: Callable[[str], str] = lambda name: "") -> list[str]:
    """Lines of a table, in the order of the scenario.

    :param found: as of `made`.
    :param against: the method that a method is compared with.
    """
    names = found["name"].str.replace(_SEED, "", regex=True)
    seeds = found["name"].str.extract(_SEED, expand=False).fillna("0").astype(int)
    rows = found.assign(method=names, seed=seeds, nmse_db=10 * numpy.log10(found["nmse"]))
    rows = rows.sort_values("seed", kind="stable")
    nmse_db = rows.pivot(index="method", columns="seed", values="nmse_db")
    lines = ["| | CPU s | sequences | validation NMSE (dB), each seed | difference |", "|---|---|---|---|---|"]
    for name, own in rows.groupby("method", sort=False):
        other, difference = against(str(name)), ""
        if other != name and other in nmse_db.index:
            each = (nmse_db.loc[str(name)] - nmse_db.loc[other]).dropna()
            difference = f"{each.mean():+.2f} ({each.min():+.2f} to {each.max():+.2f})"
        cost = f"{own['cpu_s'].mean():.0f} | {own['sequences'].max():,}"
        lines.append(f"| {name} | {cost} | {', '.join(f'{value:.2f}' for value in own['nmse_db'])} | {difference} |")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 2 where nothing is trained yet."""
    parser = argparse.ArgumentParser(prog="python -m studies.trainings", description=__doc__)
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--against", default="", help="name of the method that all are compared with")
    options = parser.parse_args(arguments)
    return tell(options.scenario, lambda name: options.against)


def tell(scenario: Path, against: Callable[[str], str]) -> int:
    """Prints the table of a scenario; 2 where nothing is trained yet."""
    found = made(scenario)
    if found.empty:
        print(f"nothing of {scenario} is trained: run linksim train {scenario} first", file=sys.stderr)
        return 2
    print("\n".join(table(found, against)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
