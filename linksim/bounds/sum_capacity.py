"""The limit of every precoder, linear or not."""

from __future__ import annotations

from collections.abc import Iterator

from linksim.bounds.base import Bound, Row, Seen
from linksim.core.registry import register


@register("bound", "sum_capacity", title="sum capacity")
class SumCapacity(Bound):
    """Dirty-paper coding with the true channel, power split over users at will.

    See `linksim.bounds.capacity`.
    """

    def rows(self, seen: Seen) -> Iterator[Row]:
        if not seen.needs_link:
            return
        from linksim.bounds.capacity import drop_capacity  # start-up: validating needs no torch

        capacity = seen.once(("sum_capacity", seen.noise_variance),
                             lambda: drop_capacity(seen.true, seen.noise_variance))
        yield self.title, {"sum_rate_bps_hz": capacity[:, None].expand(-1, seen.true.shape[3])}
