"""Line of sight told by how much of the power comes at once."""

from __future__ import annotations

import torch

from linksim.blocks.universal.base import ChannelView, FittedBlock, Truth, UniversalShape, View
from linksim.core.registry import register
from linksim.mimo.angle_delay import line_to_angle_delay

_SHARPNESS = 1.0
"""Slope of the probability, per dB."""


@register("universal", "k_factor", trains=True)
class KFactor(FittedBlock):
    """Line of sight if the strongest cell over beams and delays holds enough more than all the others together.

    The ratio in dB, an estimate of Rice's K, is compared with the threshold that is right most often in training.

    Source: TR 38.901, 7.5 (K is what sets line of sight apart); threshold tests on K: e.g. A. Benedetto et al.,
    "Dynamic LOS/NLOS statistical discrimination of wireless mobile channels", VTC Spring 2007.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[bool, list[tuple[torch.Tensor, torch.Tensor]]] = {False: [], True: []}

    def tasks(self) -> dict[str, str]:
        return {"los": "channel"}

    def prepare(self, shape: UniversalShape) -> None:
        self.polarizations = shape.panel.polarizations
        self.register_buffer("threshold_db", torch.tensor(0.0))

    def observe(self, views: dict[str, View], truth: Truth, validation: bool) -> None:
        self._seen[validation].append((self._k_db(views["channel"]).cpu(), truth.line_of_sight.cpu()))

    def solve(self) -> float:
        k_db, is_los = (torch.cat(parts) for parts in zip(*self._seen[False]))
        steps = torch.quantile(k_db, torch.linspace(0, 1, 201))
        right = ((k_db > steps[:, None]) == is_los).float().mean(1)
        self.threshold_db.copy_(steps[right.argmax()])
        k_db, is_los = (torch.cat(parts) for parts in zip(*(self._seen[True] or self._seen[False])))
        self._seen = {False: [], True: []}
        return float(((k_db > self.threshold_db) != is_los).float().mean())

    def answer(self, task: str, view: ChannelView) -> torch.Tensor:
        return (_SHARPNESS * (self._k_db(view) - self.threshold_db)).sigmoid()

    def _k_db(self, view: ChannelView) -> torch.Tensor:
        power = line_to_angle_delay(view.h, self.polarizations).abs().square().sum((1, 2))
        largest, total = power.flatten(1).amax(1), power.flatten(1).sum(1)
        return 10 * (largest / (total - largest).clamp_min(1e-12 * total)).clamp_min(1e-12).log10()
