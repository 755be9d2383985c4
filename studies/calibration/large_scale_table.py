"""TR 38.901 Table 7.5-6 as data of our own, not taken from Sionna's files; `sources` says where from."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

PARAMETERS = ("ds", "asd", "asa", "zsa", "zsd", "sf", "k")
STATES = ("los", "nlos", "o2i")


@dataclass(frozen=True)
class Normal:
    """A large-scale parameter's distribution: log10 of s or degree, dB for SF and K.

    :param limit: values above it are set to it; infinite where there is none.
    """

    mean: float
    deviation: float
    limit: float = math.inf


def expected(version: str, scenario: str, state: str, carrier_hz: float, distance_m: float, ut_height_m: float,
             bs_height_m: float) -> dict[str, Normal]:
    """Distributions of one column of the table.

    :param version: of TR 38.901, ``"16.1"`` or ``"19.2"``.
    :param scenario: ``"uma"`` or ``"umi"``.
    :param state: ``"los"``, ``"nlos"`` or ``"o2i"`` (with the outdoor part in NLOS).
    :param distance_m: horizontal; it and the heights decide ZSD (Tables 7.5-7 and 7.5-8).
    """
    table = _table()
    carrier_ghz = max(carrier_hz / 1e9, table["floors_ghz"][scenario])
    logarithm = math.log10(carrier_ghz if scenario == "uma" else 1 + carrier_ghz)
    limits = {name: math.log10(limit) for name, limit in table["limits_deg"].items()}
    found = {
        name: Normal(*(value[part][0] + value[part][1] * logarithm for part in ("mean", "deviation")),
                     limits.get(name, math.inf))
        for name, value in table["columns"][version][f"{scenario} {state}"].items()
    }
    zsd = table["zsd"][f"{scenario} {'los' if state == 'los' else 'nlos'}"]
    mean = max(zsd["floor"], zsd["intercept"] + zsd["per_km"] * distance_m / 1000
               + zsd["per_m_above_1_5_m"] * (ut_height_m - 1.5)
               + zsd["per_m_from_bs"] * abs(ut_height_m - bs_height_m)
               + zsd["per_m_above_bs"] * max(ut_height_m - bs_height_m, 0.0))
    return found | {"zsd": Normal(mean, zsd["deviation"], limits["zsd"])}


def correlations(scenario: str, state: str) -> dict[tuple[str, str], float]:
    """Cross-correlations of one column, before any limit is applied."""
    return {tuple(pair.split()): value for pair, value in _table()["correlations"][f"{scenario} {state}"].items()}


def sources() -> dict[str, str]:
    """Where each part of the table was typed from."""
    return _table()["sources"]


@cache
def _table() -> dict[str, Any]:
    return json.loads(resources.files(__package__).joinpath("large_scale_parameters.json").read_text("utf-8"))
