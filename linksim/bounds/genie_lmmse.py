"""The limit of prediction: LMMSE from the history, or from reports of the downlink, with every ray known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from linksim.bounds.base import Bound, Row, Seen
from linksim.channel.source import source_of
from linksim.core.errors import ScenarioError
from linksim.core.heartbeat import doing
from linksim.core.registry import find, register
from linksim.scenario.resolved import ResolvedScenario

if TYPE_CHECKING:
    from linksim.core.csi import Csi


ERRORS = ("nmse", "squared_")
"""Measures that a genie bounds; the least error does not mean the most similar estimate or the highest rate, which are
those of one more link."""


def check_rays(scenario: ResolvedScenario) -> None:
    """Whether every drop has the rays that a genie is told.

    :raises ScenarioError: it has not.
    """
    channel = scenario.channel
    source_of(channel).check_rays(channel)
    if channel.beam_squint:
        raise ScenarioError("takes the carrier's wavelength at all tones, which channel.beam_squint does not: write "
                            "bounds: [sum_capacity], or []")


def check(options: dict[str, Any], scenario: ResolvedScenario, _: Any) -> None:
    """Whether methods are bounded by what the uplink tells."""
    check_rays(scenario)
    reporting, duplex = any(method.feedback for method in scenario.methods), scenario.channel.duplex
    if reporting and duplex != "tdd" and "genie_lmmse_reports" not in [bound.name for bound in scenario.bounds]:
        raise ScenarioError(f"bounds what the uplink tells, and in {duplex} reports tell more: add "
                            "genie_lmmse_reports, or leave it out")


@register("bound", "genie_lmmse", title="genie LMMSE bound", link="genie LMMSE CSI", requires=check)
class GenieLmmse(Bound):
    """LMMSE with every ray's delay, angles, Doppler and power known, phases unknown.

    From the raw samples of the uplink; see `linksim.bounds.genie`.
    """

    def rows(self, seen: Seen) -> Iterator[Row]:
        from linksim.bounds.genie import genie_lmmse  # start-up: validating needs no torch

        yield from genie_rows(self, seen, 0, lambda: genie_lmmse(seen.drops, seen.observation))


def genie_rows(genie: Bound, seen: Seen, late: int, estimate: Callable[[], Csi]) -> Iterator[Row]:
    """The least error, and a link with the estimate that has it, if anything can be learnt.

    :param late: samples of the history that have not arrived.
    """
    link, acquisition = find("bound", genie.block_name).facts["link"], seen.scenario.acquisition

    def scored() -> tuple[Any, dict[str, Any]]:
        with doing(link):
            return seen.scored(link, estimate())

    # estimators that start from the same samples share the bound
    h_hat, measures = seen.once((link, acquisition.type, acquisition.csi_snr_db, late), scored)
    if h_hat.any():
        others = {key: value for key, value in measures.items() if not key.startswith(ERRORS)}
        yield link, others | seen.link(h_hat, seen.scenario.precoder)
    yield genie.title, {key: value for key, value in measures.items() if key.startswith(ERRORS)}


def check_reports(options: dict[str, Any], scenario: ResolvedScenario, _: Any) -> None:
    """Whether there are reports."""
    check_rays(scenario)
    if not any(method.feedback for method in scenario.methods):
        raise ScenarioError("bounds methods with feedback, and there are none: leave it out")


@register("bound", "genie_lmmse_reports", title="genie LMMSE reports bound", link="genie LMMSE reports CSI",
          requires=check_reports)
class GenieLmmseReports(Bound):
    """LMMSE from the terminals' own estimates, every ray known, reports of any size.

    It bounds every method whose reports tell the channel; see `linksim.bounds.genie`.
    """

    def rows(self, seen: Seen) -> Iterator[Row]:
        from linksim.bounds.genie import genie_lmmse_reports  # start-up: validating needs no torch

        late = seen.scenario.feedback.delay_periods
        arrived = len(seen.drops.history.time_s) - late
        yield from genie_rows(self, seen, late, lambda: genie_lmmse_reports(
            seen.drops, seen.reports_observation, arrived))
