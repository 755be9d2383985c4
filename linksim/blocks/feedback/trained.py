"""What a codec that learns adds: it is shaped for a problem, then fitted on the CSI of training drops."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from linksim.blocks.feedback.base import FeedbackCodec, ReportGrid
from linksim.blocks.feedback.range_coder import MAX_TOTAL
from linksim.blocks.parameters import matched
from linksim.core.csi import Csi, Panel
from linksim.core.errors import LinksimError, ScenarioError


@dataclass(frozen=True)
class FeedbackShape:
    """Sizes that a trained codec's parameters depend on."""

    num_ue_antennas: int
    panel: Panel
    num_subcarriers: int

    @classmethod
    def of(cls, csi: Csi) -> FeedbackShape:
        return cls(csi.h.shape[2], csi.panel, csi.h.shape[-1])


class TrainedCodec(FeedbackCodec):
    """A codec with parameters."""

    shape: FeedbackShape | None = None

    @abstractmethod
    def prepare(self, shape: FeedbackShape) -> None:
        """Make parameters and buffers of the right size, untrained, and remember the shape."""

    def at_budget(self, options: dict[str, Any]) -> TrainedCodec:
        """The same codec, sharing its parameters, with a method's own budget.

        :param options: of the method; those that say what the codec is made of are its own.
        """
        other = copy.copy(self)
        other._modules = dict(self._modules)  # copied as well, or a part replaced there would be here
        other.set_budget(options)
        return other

    def set_budget(self, options: dict[str, Any]) -> None:
        """Take over what of the options is chosen when the codec is used."""
        self.bits = options["bits"]

    def saved_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds."""
        return self.state_dict()

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take over what `saved_state` gave.

        :raises LinksimError: other names, sizes or types; says which.
        """
        self.load_state_dict(matched(self.saved_state(), state, self.block_name), strict=False)

    def check_shape(self, grid: ReportGrid) -> None:
        """:raises ScenarioError: the codec was shaped for other sizes, or not yet."""
        if self.shape is None:
            raise ScenarioError(f"feedback {self.block_name!r} is not trained: it needs a checkpoint or training drops")
        sizes = FeedbackShape(grid.num_ue_antennas, grid.panel, grid.num_subcarriers)
        if sizes != self.shape:
            raise ScenarioError(f"feedback {self.block_name!r} was trained for {self.shape}, not for {sizes}")


class ClosedFormCodec(TrainedCodec):
    """Fitted from training drops without gradients."""

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        super().restore(state)
        for name, table in self.named_buffers():
            if table.dtype == torch.int32 and not _are_frequencies(table):
                raise LinksimError(f"does not fit {self.block_name}: {name} holds no frequencies of symbols")

    @abstractmethod
    def observe(self, csi: Csi, validation: bool) -> None:
        """Take noiseless CSI of training drops at one instant, ``[batch, user, ue_ant, bs_ant, 1, subcarrier]``."""

    @abstractmethod
    def solve(self) -> float:
        """Fit, drop what was kept.

        :returns: NMSE of validation drops (of training drops where there are none), linear.
        """


def _are_frequencies(table: torch.Tensor) -> bool:
    """Whether every row of integers can be a range coder's."""
    return bool((table >= 1).all() and (table.long().sum(-1) <= MAX_TOTAL).all())
