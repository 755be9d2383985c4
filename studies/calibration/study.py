"""Draw every set-up with both engines, and compare what they give."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from linksim.core.seeding import sionna_seed, stream_seed
from studies.calibration.draw import METRICS, METRICS_OF_PHASE, Draw, Values, measure
from studies.calibration.large_scale_check import Finding
from studies.calibration.linksim_draw import LinksimDraw
from studies.calibration.reference import reference_curve
from studies.calibration.setups import GROUPS, Network, Setup, networks, sectors
from studies.calibration.sionna_draw import SionnaDraw
from studies.calibration.statistics import curve_distance, ks_critical, ks_distance

Engine = Callable[[Any, Setup], Draw]
"""From a Sionna model with its topology set, and the set-up, to a draw."""

FAMILY_LEVEL = 0.05
"""Probability that one or more of all Kolmogorov-Smirnov distances between equal engines is too large."""


@dataclass(frozen=True)
class Outcome:
    """What one set-up gave.

    :param plain: plain Sionna.
    :param paired: linksim with the same random numbers, so of the same terminals.
    :param independent: linksim with other random numbers.
    """

    setup: Setup
    plain: Values
    paired: Values
    independent: Values


@dataclass(frozen=True)
class Comparison:
    """One metric of one set-up.

    :param num_paired: terminals drawn by both engines, ``num_independent`` those drawn by linksim alone.
    :param deviation: largest difference between the engines for one terminal, in the metric's unit; over terminals
        without line of sight where Sionna's metric differs on the others.
    :param specular_deviation: the same over those others; None where the metric does not differ.
    :param num_handovers: terminals that the engines attach to different base stations (left out of the deviation).
    :param distance: Kolmogorov-Smirnov, plain Sionna against linksim's independent draws.
    :param critical: what two samples of one distribution exceed in 5 % of cases, ``family_critical`` in 5 % of runs.
    :param reference_distance: linksim's independent draws to 3GPP's curve, ``plain_reference_distance`` plain
        Sionna's; None without a curve.
    """

    setup: Setup
    metric: str
    num_paired: int
    num_independent: int
    deviation: float
    specular_deviation: float | None
    num_handovers: int
    distance: float
    critical: float
    family_critical: float
    reference_distance: float | None
    plain_reference_distance: float | None

    @property
    def same_numbers(self) -> bool:
        """Whether rounding explains every difference between the engines."""
        return self.num_handovers == 0 and self.deviation <= METRICS[self.metric].rounding

    @property
    def same_distribution(self) -> bool:
        return self.distance <= self.family_critical


@dataclass(frozen=True)
class Study:
    """Everything that the report shows.

    :param drops: as asked for, ``seed`` likewise.
    :param earlier: linksim's values with the tables of V16.1, by the set-up's name.
    :param findings: checks of the large-scale parameters.
    :param seconds: wall time.
    """

    drops: int
    seed: int
    outcomes: list[Outcome]
    comparisons: list[Comparison]
    earlier: dict[str, Values]
    findings: list[Finding]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether engines and table agree. Agreement with 3GPP's curves is not asked for."""
        return all(one.same_numbers and one.same_distribution for one in self.comparisons) \
            and all(finding.check.passed for finding in self.findings)


def all_setups() -> list[Setup]:
    """In the order of the report."""
    return [*networks("large scale"), *networks("configuration 1"), *networks("configuration 2"), *sectors()]


_SHARES = {"large scale": (1.0, 1.0), "configuration 1": (0.125, 1.0), "configuration 2": (0.5, 1.0),
           "single sector": (0.5, 1.0)}
"""Of the drops asked for, those drawn by both engines and by linksim alone: plain Sionna takes seconds for a part of
configuration 1, and paired draws need few."""


def num_parts(setup: Setup, drops: float) -> tuple[int, int]:
    """Parts drawn by both engines, and by linksim alone.

    :param drops: of 57 terminals for each set-up; an even number, so that half have high penetration loss.
    """
    paired, alone = (GROUPS * 2 * math.ceil(drops * share / 2) for share in _SHARES[setup.phase])
    return paired, alone


def run_setup(setup: Setup, drops: int, seed: int, engine: Engine = LinksimDraw) -> Outcome:
    """Draw one set-up.

    :param drops: see `num_parts`.
    :param engine: what is compared with plain Sionna.
    """
    paired, independent = num_parts(setup, drops)
    return Outcome(
        setup,
        plain=draw_parts(SionnaDraw, setup, paired, seed, "both"),
        paired=draw_parts(engine, setup, paired, seed, "both"),
        independent=draw_parts(engine, setup, independent, seed, "linksim"),
    )


def draw_parts(engine: Engine, setup: Setup, number: int, seed: int, stream: str) -> Values:
    """Draw and measure parts of a set-up.

    :param stream: parts of one stream are the same for every engine.
    """
    found = []
    for part in range(number):
        with sionna_seed(stream_seed(seed, "calibration", setup.name, setup.spec_version, stream, part)):
            found.append(measure(engine(setup.draw_model(part), setup), setup))
    return {name: np.concatenate([values[name] for values in found]) for name in found[0]}


def compare(outcome: Outcome, num_comparisons: int) -> list[Comparison]:
    """One comparison for every metric of a set-up.

    :param num_comparisons: in the whole study; widens the critical distance of the family.
    """
    return [_compare(outcome, metric, num_comparisons) for metric in METRICS_OF_PHASE[outcome.setup.phase]]


def _compare(outcome: Outcome, metric: str, num_comparisons: int) -> Comparison:
    plain, paired = outcome.plain[metric], outcome.paired[metric]
    independent = outcome.independent[metric]
    attached = outcome.plain["serving"] == outcome.paired["serving"]
    difference = np.abs(plain - paired)
    specular = outcome.plain["line_of_sight"] & METRICS[metric].specular_differs
    curve = reference_curve(outcome.setup, metric)
    sizes = len(plain), len(independent)
    return Comparison(
        outcome.setup, metric, *sizes,
        deviation=float(difference[attached & ~specular].max(initial=0.0)),
        specular_deviation=float(difference[attached & specular].max()) if (attached & specular).any() else None,
        num_handovers=int((~attached).sum()),
        distance=ks_distance(plain, independent), critical=ks_critical(*sizes),
        family_critical=ks_critical(*sizes, FAMILY_LEVEL / num_comparisons),
        reference_distance=None if curve is None else curve_distance(independent, *curve),
        plain_reference_distance=None if curve is None else curve_distance(plain, *curve),
    )


def run_earlier_version(setup: Network, drops: int, seed: int, engine: Engine = LinksimDraw) -> Values:
    """linksim with the tables of V16.1, nearer to those behind 3GPP's curves than the present ones; half the parts."""
    earlier = Network(setup.scenario, setup.carrier_hz, setup.phase, "16.1")
    return draw_parts(engine, earlier, num_parts(earlier, drops / 2)[1], seed, "linksim")
