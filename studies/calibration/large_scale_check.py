"""Large-scale parameters as Sionna draws them, against the table as we typed it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from sionna.phy.channel.tr38901 import PanelArray, UMa, UMi

from linksim.core.seeding import sionna_seed, stream_seed
from studies.calibration.large_scale_table import PARAMETERS, STATES, Normal, correlations, expected
from studies.calibration.statistics import Check, check_correlation, check_deviation, check_mean

CARRIERS_HZ = (2.4e9, 6e9, 30e9)
"""Those of clause 7.8, and linksim's own, where UMa's formulas take 6 GHz instead."""
DISTANCE_M, UT_HEIGHT_M = 50.0, 1.5
BS_HEIGHT_M = {"uma": 25.0, "umi": 10.0}
FAMILY_LEVEL = 0.01
"""Probability that one or more of all checks fail by chance."""


@dataclass(frozen=True)
class Column:
    """One column of the table at one carrier.

    :param state: ``"los"``, ``"nlos"`` or ``"o2i"``.
    """

    scenario: str
    state: str
    carrier_hz: float
    version: str = "19.2"

    @property
    def name(self) -> str:
        return f"{ {'uma': 'UMa', 'umi': 'UMi'}[self.scenario]} {self.state.upper()} {self.carrier_hz / 1e9:g} GHz"

    def expected(self) -> dict[str, Normal]:
        """What the table says."""
        return expected(self.version, self.scenario, self.state, self.carrier_hz, DISTANCE_M, UT_HEIGHT_M,
                        BS_HEIGHT_M[self.scenario])


def columns(version: str = "19.2") -> list[Column]:
    """Both scenarios, every state, every carrier."""
    return [Column(scenario, state, carrier_hz, version)
            for scenario, state, carrier_hz in itertools.product(("uma", "umi"), STATES, CARRIERS_HZ)]


def draw_parameters(column: Column, number: int, seed: int) -> dict[str, np.ndarray]:
    """Independent links, one terminal each.

    :returns: for each of `PARAMETERS`, ``[number]``: log10 of s or degree, dB for SF and K.
    """
    element = PanelArray(1, 1, "single", "V", "omni", column.carrier_hz, precision="double", device="cpu")
    with sionna_seed(stream_seed(seed, "large-scale parameters", column.name)):
        model = (UMa if column.scenario == "uma" else UMi)(
            carrier_frequency=column.carrier_hz, o2i_model="low", ut_array=element, bs_array=element,
            direction="downlink", enable_pathloss=False, spec_version=column.version, precision="double",
            device="cpu",
        )
        nowhere = torch.zeros(number, 1, 3, dtype=torch.float64)
        model.set_topology(
            ut_loc=torch.tensor([DISTANCE_M, 0.0, UT_HEIGHT_M], dtype=torch.float64).expand(number, 1, 3),
            bs_loc=torch.tensor([0.0, 0.0, BS_HEIGHT_M[column.scenario]], dtype=torch.float64).expand(number, 1, 3),
            ut_orientations=nowhere, bs_orientations=nowhere, ut_velocities=nowhere,
            in_state=torch.full((number, 1), column.state == "o2i"), los=column.state == "los",
        )
        drawn = model.sample_lsp()
    scale = {"sf": 10.0, "k_factor": 10.0}
    found = {name: (scale.get(name, 1.0) * getattr(drawn, name).log10()).flatten().numpy()
             for name in ("ds", "asd", "asa", "zsa", "zsd", "sf", "k_factor")}
    found["k"] = found.pop("k_factor")
    return found


@dataclass(frozen=True)
class Finding:
    """One check of one column.

    :param quantity: ``"mean of ds"``, ``"deviation of k"``, ``"correlation of asd and ds"``.
    """

    column: Column
    quantity: str
    number: int
    check: Check


def check_columns(picked: list[Column], number: int, seed: int) -> Iterator[list[Finding]]:
    """Draw and check columns, one list of findings for each.

    :param number: links per column.
    """
    level = FAMILY_LEVEL / sum(_num_checks(column) for column in picked)
    for column in picked:
        sample, table = draw_parameters(column, number, seed), column.expected()
        named = [(f"mean of {name}", check_mean(sample[name], table[name], level)) for name in _in(table)]
        named += [(f"deviation of {name}", check_deviation(sample[name], table[name], level)) for name in _in(table)]
        named += [
            (f"correlation of {first} and {second}",
             check_correlation(sample[first], sample[second], (table[first], table[second]), value, level))
            for (first, second), value in correlations(column.scenario, column.state).items()
        ]
        yield [Finding(column, quantity, number, check) for quantity, check in named]


def _in(table: dict[str, Normal]) -> list[str]:
    return [name for name in PARAMETERS if name in table]


def _num_checks(column: Column) -> int:
    return 2 * len(column.expected()) + len(correlations(column.scenario, column.state))
