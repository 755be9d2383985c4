"""What blocks, their modulations and slots must be; no torch here, so that scenarios are checked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linksim.core.errors import ScenarioError
from linksim.nr.slots import EESM_TABLES, LEAST_BLOCK, LEAST_RATE, MCS_TABLES, SlotFormat
from linksim.scenario.channel import horizon_s
from linksim.scenario.coding import NUM_SYMBOLS, Coding
from linksim.scenario.resolved import ResolvedScenario

if TYPE_CHECKING:
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


BLOCK_METRICS = ("bler", "throughput_bps_hz", "gross_throughput_bps_hz", "mcs", "num_transmissions")


def check_coding(scenario: ResolvedScenario) -> None:
    """Where blocks are simulated, that they can be; where not, that nothing asks for them.

    :raises ScenarioError: the first rule broken, with key and fix.
    """
    link, channel, stopping = scenario.link, scenario.channel, scenario.run.stopping
    if link.mode == "rate":
        _check_rate(scenario)
        return
    coding = link.coding
    times = channel.subcarrier_spacing_khz / coding.scs_khz
    if abs(times - round(times)) > 1e-9 or round(times) < 1:
        raise ScenarioError(f"link.coding.scs_khz: a tone of {channel.subcarrier_spacing_khz:g} kHz "
                            f"(channel.subcarrier_spacing_khz) is no whole number of subcarriers of {coding.scs_khz} "
                            "kHz: choose 15, 30, 60 or 120 that divides it")
    step_s = channel.csi_period_ms * 1e-3 / channel.samples_per_period
    if step_s < coding.slot_s * (1 - 1e-9):
        raise ScenarioError(f"link.coding.scs_khz: slots of {coding.slot_s * 1e3:g} ms would overlap, as the future is "
                            f"seen every {step_s * 1e3:g} ms: use a larger scs_khz or channel.csi_period_ms, or fewer "
                            "channel.samples_per_period")
    if channel.samples_per_period > channel.num_future:
        raise ScenarioError(f"channel.num_future: {channel.num_future} instants end before the report period of "
                            f"{channel.csi_period_ms:g} ms does: use at least channel.samples_per_period "
                            f"({channel.samples_per_period})")
    check_mcs(scenario)
    if link.mode == "abstraction" and coding.transmissions > 1:
        raise ScenarioError("link.coding.transmissions: the tables of the abstraction are those of single "
                            "transmissions: write 1, or link.mode: coded")
    if coding.transmissions > channel.num_future:
        raise ScenarioError(f"link.coding.transmissions: {coding.transmissions} slots in a row are needed, but "
                            f"channel.num_future is {channel.num_future}")
    if stopping.metric in BLOCK_METRICS or stopping.block_errors is None:
        return
    raise ScenarioError(f"run.stopping.block_errors: what is watched is {stopping.metric}: write metric: bler")


def check_future(scenario: ResolvedScenario) -> None:
    """Whether predictors can say what the channel is at the future's instants.

    :raises ScenarioError: one steps from period to period.
    """
    channel = scenario.channel
    if channel.samples_per_period == 1 and not channel.processing_delay_ms:
        return
    period_s = channel.csi_period_ms * 1e-3
    if all(abs(time / period_s - round(time / period_s)) < 1e-6 for time in horizon_s(channel)):
        return
    for index, method in enumerate(scenario.methods):
        predictor = method.predictor
        if predictor is not None and predictor.made_by.whole_periods:
            raise ScenarioError(f"methods.{index}.predictor: {predictor.name} predicts whole CSI periods, and "
                                "channel.samples_per_period or processing_delay_ms asks for instants between them: "
                                "take hold, wiener, matrix_pencil or sparse_bayesian, or leave both out")


def _check_rate(scenario: ResolvedScenario) -> None:
    if scenario.link.coding != Coding():
        raise ScenarioError("link.coding: nothing is coded where link.mode is rate: write mode: abstraction or coded, "
                            "or leave it out")
    for place, names in (("metrics", scenario.metrics), ("run.stopping.metric", [scenario.run.stopping.metric])):
        for name in names:
            if name in BLOCK_METRICS:
                raise ScenarioError(f"{place}: {name} is of transport blocks: write link.mode: abstraction or coded")
    if scenario.run.stopping.block_errors is not None:
        raise ScenarioError("run.stopping.block_errors: there are no blocks where link.mode is rate: leave it out")
