"""What a physical limit is: the rows that it adds beside the methods'. No torch here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from linksim.core.registry import find

if TYPE_CHECKING:
    import torch

    from linksim.channel.drops import Drops
    from linksim.core.csi import Csi, Observation
    from linksim.scenario.resolved import Block, ResolvedScenario

Made = TypeVar("Made")


class Seen(Protocol):
    """What there is at a sweep point to compute a limit from.

    :ivar scenario: at this point.
    :ivar drops: truth, and rays where there are any.
    :ivar true: the future channel, ``[batch, time, subcarrier, user, ue_ant, bs_ant]``.
    :ivar noise_variance: of the link, per complex entry.
    :ivar observation: the raw uplink samples behind the base station's estimates.
    """

    scenario: ResolvedScenario
    drops: Drops
    true: torch.Tensor
    noise_variance: float
    observation: Observation

    @property
    def reports_observation(self) -> Observation:
        """The raw downlink samples behind the terminals' reports."""

    @property
    def needs_link(self) -> bool:
        """Whether rates are asked for."""

    def once(self, key: Any, make: Callable[[], Made]) -> Made:
        """What is the same at all sweep points that share the key, made the first time."""

    def scored(self, name: str, csi: Csi) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """An estimate of the future by resource, as ``true``, and its measures."""

    def link(self, h_hat: torch.Tensor, precoder: Block) -> dict[str, torch.Tensor]:
        """Measures of a link precoded for this channel; none where `needs_link` is false."""


Row = tuple[str, "dict[str, torch.Tensor]"]
"""A curve's name and its measures, each ``[batch, user]``, named as in `linksim.metrics.catalogue`."""


class Bound(ABC):
    """A physical limit. Its docstring's first line is what the report says of it.

    It is registered as ``@linksim.register("bound", name, title="… bound")``; the title is its curve's name and ends in
    "bound" or "capacity". ``link`` names a second curve, that of a link with the limit's estimate.
    """

    block_name: str

    @property
    def title(self) -> str:
        """Name of its curve."""
        return str(find("bound", self.block_name).facts["title"])

    @abstractmethod
    def rows(self, seen: Seen) -> Iterator[Row]:
        """Its curves' measures at a sweep point."""
