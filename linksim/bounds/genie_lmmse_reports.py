"""The limit of prediction from reports of the downlink."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from linksim.bounds.base import Bound, Row, Seen
from linksim.bounds.genie_lmmse import check_rays, genie_rows
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.scenario.resolved import ResolvedScenario


def check(options: dict[str, Any], scenario: ResolvedScenario, _: Any) -> None:
    """Whether there are reports."""
    check_rays(scenario)
    if not any(method.feedback for method in scenario.methods):
        raise ScenarioError("bounds methods with feedback, and there are none: leave it out")


@register("bound", "genie_lmmse_reports", title="genie LMMSE reports bound", link="genie LMMSE reports CSI",
          requires=check)
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
