"""``python -m studies.readings``: the readings that are trained so far, as a table.

A reading's place is its difference from the block, seed by seed: seeds share drops.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import numpy
import pandas

from studies.trainings import made

SCENARIO = Path(__file__).with_name("readings.yaml")
_SEED = re.compile(r" \(weights_seed (\d+)\)$")


def table(found: pandas.DataFrame) -> list[str]:
    """The table's lines, in the order of the scenario.

    :param found: as of `studies.trainings.made`.
    """
    seeds = found["name"].str.extract(_SEED, expand=False).astype(int)
    names = found["name"].str.replace(_SEED, "", regex=True)
    rows = found.assign(seed=seeds, reading=names, block=names.str.partition(", ")[0],
                        nmse_db=10 * numpy.log10(found["nmse"])).sort_values("seed", kind="stable")
    nmse_db = rows.pivot(index="reading", columns="seed", values="nmse_db")
    lines = ["| reading | CPU s | sequences | NMSE (dB), seeds | less the block's |", "|---|---|---|---|---|"]
    for name, of_reading in rows.groupby("reading", sort=False):
        block = f"{of_reading['block'].iloc[0]}, block"
        less = ""
        if name != block and block in nmse_db.index:
            difference = (nmse_db.loc[str(name)] - nmse_db.loc[block]).dropna()
            less = f"{difference.mean():+.2f} ({difference.min():+.2f} to {difference.max():+.2f})"
        each = ", ".join(f"{value:.2f}" for value in of_reading["nmse_db"])
        cost = f"{of_reading['cpu_s'].mean():.0f} | {of_reading['sequences'].max():,}"
        lines.append(f"| {name} | {cost} | {each} | {less} |")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 2 where nothing is trained yet."""
    argparse.ArgumentParser(prog="python -m studies.readings", description=__doc__).parse_args(arguments)
    found = made(SCENARIO)
    if found.empty:
        print(f"no reading is trained: run linksim train {SCENARIO} first", file=sys.stderr)
        return 2
    print("\n".join(table(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
