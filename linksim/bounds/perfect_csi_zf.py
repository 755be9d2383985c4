"""The limit of methods that are precoded by zero forcing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from linksim.bounds.base import Bound, Row, Seen
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.scenario.resolved import ResolvedScenario, read_block


def check(options: dict[str, Any], scenario: ResolvedScenario, _: Any) -> None:
    """Whether every method is one of those."""
    for method in scenario.methods:
        if method.precoder.name != "zf":
            raise ScenarioError(f"holds for zf alone, and {method.name!r} is precoded by {method.precoder.name}: set "
                                "link.precoder to zf or leave the bound out")


@register("bound", "perfect_csi_zf", title="perfect-CSI ZF bound", requires=check)
class PerfectCsiZf(Bound):
    """Zero forcing with the true channel: the limit of methods precoded by zf."""

    def rows(self, seen: Seen) -> Iterator[Row]:
        if seen.needs_link:
            yield self.title, seen.link(seen.true, read_block("bounds", "precoder", "zf"))
