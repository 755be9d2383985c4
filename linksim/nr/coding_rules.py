"""What transport blocks ask of the rest of a scenario."""

from __future__ import annotations

from linksim.core.errors import ScenarioError
from linksim.nr.rules import check_mcs
from linksim.scenario.channel import horizon_s
from linksim.scenario.coding import Coding
from linksim.scenario.resolved import ResolvedScenario

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
