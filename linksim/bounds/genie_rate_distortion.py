"""The limit of a single report of a given size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from linksim.bounds.base import Bound, Row, Seen
from linksim.bounds.genie_lmmse import check_rays
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.scenario.resolved import ResolvedScenario


def check(options: dict[str, Any], scenario: ResolvedScenario, _: Any) -> None:
    """Whether every method's estimate is that of one report of feedback.bits."""
    check_rays(scenario)
    bits = _bits(scenario)
    for method in (method for method in scenario.methods if not method.knows_channel):
        codec = method.feedback
        if codec is None or not method.holds:
            raise ScenarioError("bounds what one report tells: every method needs feedback and the predictor hold, "
                                f"which {method.name!r} has not: leave the bound out")
        if codec.made_by.remembers:
            raise ScenarioError(f"bounds what one report tells, and reports of {codec.name} build on the ones before: "
                                "leave the bound out")
        if (given := codec.options.get("bits")) != bits:
            raise ScenarioError(f"is drawn at feedback.bits ({bits}), but the codec of {method.name!r} has "
                                + ("a size of its own" if given is None else f"{given}") + ": leave the bound out")


def _bits(scenario: ResolvedScenario) -> int:
    if scenario.feedback.bits is None:
        raise ScenarioError("needs to know how many bits a report has: set feedback.bits")
    return scenario.feedback.bits


@register("bound", "genie_rate_distortion", title="genie rate-distortion bound", requires=check)
class GenieRateDistortion(Bound):
    """Least error of one report of feedback.bits, the geometry known, phases unknown.

    See `linksim.bounds.rate_distortion`.
    """

    def rows(self, seen: Seen) -> Iterator[Row]:
        from linksim.bounds.rate_distortion import least_error, ray_eigenvalues  # start-up: no torch

        values = seen.once("genie_rate_distortion", lambda: ray_eigenvalues(seen.drops))
        yield self.title, {"nmse": least_error(values, _bits(seen.scenario))}
