"""What a scenario's trainings cost and came to, as their checkpoints tell."""

from __future__ import annotations

from pathlib import Path

import pandas

from linksim.loading.load import load_scenario
from linksim.training.checkpoint import read_about
from linksim.training.preparation import parts_of

COLUMNS = {"name": str, "nmse": float, "sequences": int, "cpu_s": float}


def made(scenario_file: Path) -> pandas.DataFrame:
    """One row for each learned block that is trained: ``name`` as the trainer has it, ``nmse`` of its validation drops
    (linear), ``sequences`` that it has seen, one for each antenna pair, and ``cpu_s``."""
    scenario = load_scenario(scenario_file)
    all_pairs = scenario.channel.bs_array.num_antennas * scenario.channel.ue_array.num_antennas
    rows = []
    for part in parts_of(scenario):
        if part.is_learned and part.checkpoint is not None:
            about = read_about(part.checkpoint)
            of_a_drop = part.training.antenna_pairs if part.block.made_by.sees_antenna_pairs else all_pairs
            rows.append((part.name, about["validation_nmse"], about["record"]["drops_seen"] * of_a_drop,
                         about["record"]["cpu_s"]))
    return pandas.DataFrame(rows, columns=[*COLUMNS]).astype(COLUMNS)
