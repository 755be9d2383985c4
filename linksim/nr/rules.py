"""What blocks and their modulations must be; no torch here, so that scenarios are checked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linksim.core.errors import ScenarioError
from linksim.nr.slots import SlotFormat
from linksim.nr.tables import EESM_TABLES, LEAST_BLOCK, LEAST_RATE, MCS_TABLES
from linksim.scenario.coding import NUM_SYMBOLS

if TYPE_CHECKING:
    from linksim.scenario.resolved import ResolvedScenario
    from linksim.scenario.schema import Scenario


def check_error_rate(target_error_rate: float) -> None:
    """:raises ScenarioError: blocks that link adaptation cannot aim at."""
    if not 0 < target_error_rate <= 0.5:
        raise ScenarioError(f"target_error_rate: that of blocks must be above 0 and at most 0.5 (given "
                            f"{target_error_rate:g})")


def check_mcs(scenario: Scenario | ResolvedScenario) -> None:
    """The MCS table, and the one MCS, if given.

    :raises ScenarioError: a table without EESM parameters where they are needed; an MCS that there is not, without a
        code, or whose block does not fit a slot.
    """
    coding, slot = scenario.link.coding, SlotFormat.of(scenario)
    mcs, entries = coding.mcs, MCS_TABLES[coding.mcs_table]
    if (scenario.link.mode == "abstraction" or mcs is None) and coding.mcs_table not in EESM_TABLES:
        raise ScenarioError(f"link.coding.mcs_table: there are EESM parameters for tables 1 and 2 alone (given "
                            f"{coding.mcs_table}): take one of these, or link.mode: coded with a fixed mcs")
    if mcs is None:
        return
    if mcs >= len(entries):
        raise ScenarioError(f"link.coding.mcs: table {coding.mcs_table} has MCS 0 to {len(entries) - 1} (given {mcs})")
    order, rate = entries[mcs]
    if rate < LEAST_RATE:
        least = next(number for number, (_, other) in enumerate(entries) if other >= LEAST_RATE)
        raise ScenarioError(f"link.coding.mcs: the code rate of MCS {mcs} is {rate:.2f}, and there are no LDPC "
                            f"codes below 1/5: use at least {least}")
    # larger blocks are always smaller than what they are coded to
    if order * slot.num_symbols <= LEAST_BLOCK or slot.num_symbols < NUM_SYMBOLS:
        raise ScenarioError(f"link.coding.mcs: a block of {LEAST_BLOCK} bits does not fit a slot of "
                            f"{order * slot.num_symbols} coded bits: use more tones or a lower MCS")
