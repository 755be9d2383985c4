"""Variants of AI2MMUM that are not in the paper: heads that see the radio token, too, and the first path."""

from __future__ import annotations

import torch

from linksim.blocks.universal.ai2mmum import Ai2Mmum
from linksim.blocks.universal.base import ChannelView, Truth, UniversalShape, View
from linksim.blocks.universal.first_path import BELOW_DB, FirstArrival, free_space_excess_db, straight
from linksim.blocks.universal.rules import aligned_encoders, aligned_encoders_and_delays
from linksim.blocks.universal.tasks import POSITION_SCALE_M
from linksim.core.registry import register

_WIDTH = 32
_DOUBT = 4.0
"""How much more the head is believed than each place at first, natural logarithm."""
_NEAR_M = 10.0
_MOMENTUM = 0.05


@register("universal", "ai2mmum_bypass", trains=True, requires=aligned_encoders)
class Ai2MmumBypass(Ai2Mmum):
    """AI2MMUM whose heads also see the radio token as it was before the language model (ours).

    Precoders come out worse through a language model than without one, positions and path loss better. Here every task
    has both ways: a second linear head on the adapter's output is added to the first.
    """

    version = 1

    def prepare(self, shape: UniversalShape) -> None:
        super().prepare(shape)
        self.direct = torch.nn.ModuleDict({name: torch.nn.Linear(head.in_features, head.out_features, bias=False)
                                           for name, head in self.heads.items()})

    def _told(self, task: str, radio: torch.Tensor) -> torch.Tensor:
        return super()._told(task, radio) + self.direct[task](torch.nn.functional.gelu(radio))


@register("universal", "ai2mmum_first_path", trains=True, requires=aligned_encoders_and_delays)
class Ai2MmumFirstPath(Ai2MmumBypass):
    """`ai2mmum_bypass` with the geometry of the first path for position and line of sight (ours).

    With line of sight, direction and delay of the first path say where a terminal stands within decimetres, which no
    encoder has learned; without it, they mislead by tens of metres, where the model knows better. So the answer is a
    mixture of the head's and of the places where the first path would end if it were straight (`first_path`), one for
    each distance in power below the strongest that the first path may have. A small network weighs them by how the
    power compares with that of free space so far away, and by how far they are from the head's answer; another one
    adds what the power says to the logit of line of sight. Both are trained with the rest. The head's answer alone has
    half of the position's loss: it would learn little from terminals that the first path answers for.
    """

    version = 1

    def prepare(self, shape: UniversalShape) -> None:
        super().prepare(shape)
        self.first = FirstArrival(shape)
        places = len(BELOW_DB)
        self.register_buffer("terminal_m", torch.tensor(0.0))  # above the zero of the map, mean in training
        self.register_buffer("seen_batches", torch.tensor(0))
        self.level = torch.nn.BatchNorm1d(places)
        self.trust = _network(2 * places, places + 1)
        self.sight = _network(places, 1)
        torch.nn.init.zeros_(self.trust[-1].weight)
        with torch.no_grad():
            self.trust[-1].bias.copy_(torch.tensor([_DOUBT] + [0.0] * places))

    def loss(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        if self.training:
            there = views["environment"]
            terminal = (there.bs_height_m + there.offset_m[:, 2]).mean()
            self.terminal_m.lerp_(terminal, max(_MOMENTUM, 1 / (1 + self.seen_batches.item())))
            self.seen_batches += 1
        return super().loss(views, truth)

    def _task_loss(self, task: str, radio: torch.Tensor, view: View, truth: Truth) -> torch.Tensor:
        if task != "position":
            return super()._task_loss(task, radio, view, truth)
        alone = super()._output(task, radio, view)
        return (self._loss_of(task, alone, truth) + self._loss_of(task, self._mixed(alone, view), truth)) / 2

    def _output(self, task: str, radio: torch.Tensor, view: View) -> torch.Tensor:
        told = super()._output(task, radio, view)
        match task:
            case "position":
                return self._mixed(told, view)
            case "los":
                return told + self.sight(self._places(view)[1])
        return told

    def _mixed(self, told: torch.Tensor, view: ChannelView) -> torch.Tensor:
        places, level = self._places(view)
        apart = (POSITION_SCALE_M * told.detach()[:, None] - places).norm(dim=2)
        shares = self.trust(torch.cat([level, (apart / _NEAR_M).log1p()], 1)).softmax(1)
        return shares[:, :1] * told + (shares[:, 1:, None] * places).sum(1) / POSITION_SCALE_M

    def _places(self, view: ChannelView) -> tuple[torch.Tensor, torch.Tensor]:
        """Where the first path would end, ``[sample, below, 2]``, and how the power compares with free space's,
        ``[sample, below]``, zero mean and unit variance."""
        with torch.no_grad():
            distance, cosine = self.first(view.h)
            level = free_space_excess_db(distance, view.gain_db[:, None])
        height = (view.bs_height_m - self.terminal_m)[:, None]
        return straight(distance, cosine, height), self.level(level)


def _network(num_inputs: int, num_outputs: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(num_inputs, _WIDTH), torch.nn.GELU(), torch.nn.Linear(_WIDTH, _WIDTH),
                               torch.nn.GELU(), torch.nn.Linear(_WIDTH, num_outputs))
