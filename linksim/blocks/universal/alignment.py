"""Encoders of channel and environment, aligned: what AI2MMUM stands on."""

from __future__ import annotations

import torch

from linksim.blocks.universal.base import Truth, UniversalShape, View
from linksim.blocks.universal.learned import LearnedUniversalBlock
from linksim.blocks.universal.networks.channel import ChannelEncoder
from linksim.blocks.universal.networks.environment import EnvironmentEncoder
from linksim.blocks.universal.tasks import TASKS
from linksim.registry import register
from linksim.types import NonNegativeFloat, PositiveInt

_FIRST_TEMPERATURE = 0.07
_AT_ONCE = 25
"""Terminals that are told apart in validation: as many as a chunk has, so that it does not depend on the batch."""


@register("universal", "alignment", trains=True)
class Alignment(LearnedUniversalBlock):
    """EPNN and CFENN, trained so that a terminal's channel and its environment give the same vector.

    It answers no task itself. Contrastive pre-training: symmetric cross-entropy over the pairs of a batch. With
    `reconstruction` the channel's vector must also say the channel's precoder (ours): what an environment cannot tell,
    the phases between paths, is not lost then.

    Source: AI2MMUM, Section II-A and Fig. 3; A. Radford et al., "Learning Transferable Visual Models From Natural
    Language Supervision", ICML 2021, Fig. 3 (the loss).

    :param num_features: of the vectors; the paper has 128.
    :param reconstruction: weight of 1 - SGCS of the precoder that a linear map makes of the channel's vector; 0 in the
        paper.
    """

    def __init__(self, num_features: PositiveInt = 128, reconstruction: NonNegativeFloat = 0.0) -> None:
        super().__init__()
        self.num_features, self.reconstruction = num_features, reconstruction

    def tasks(self) -> dict[str, str]:
        return {}

    def prepare(self, shape: UniversalShape) -> None:
        self.channel = ChannelEncoder(shape, self.num_features)
        self.environment = EnvironmentEncoder(self.num_features)
        self.log_temperature = torch.nn.Parameter(torch.tensor(_FIRST_TEMPERATURE).log())
        self.to_precoder = torch.nn.Linear(self.num_features, 2 * shape.panel.num_antennas) \
            if self.reconstruction else None

    def answer(self, task: str, view: View) -> torch.Tensor:
        raise ValueError(f"alignment answers no task, so not {task!r}")

    def loss(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        channel, environment = self.channel(views["channel"]), self.environment(views["environment"])
        scores = _cosines(channel, environment) / self.log_temperature.exp()
        same = torch.arange(len(scores), device=scores.device)
        loss = sum(torch.nn.functional.cross_entropy(part, same) for part in (scores, scores.mT)) / 2
        if self.to_precoder is None:
            return loss
        return loss + self.reconstruction * TASKS["precoding"].loss(self.to_precoder(channel), truth).mean()

    def errors(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        """Share of the others that a terminal's environment is taken to be less like its channel than theirs."""
        scores = _cosines(self.channel(views["channel"]), self.environment(views["environment"]))
        errors = []
        for part in torch.arange(len(scores), device=scores.device).split(_AT_ONCE):
            here = scores[part][:, part]
            errors.append((here > here.diagonal()[:, None]).float().sum(1) / max(len(part) - 1, 1))
        return torch.cat(errors)


def _cosines(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    normalize = torch.nn.functional.normalize
    return normalize(first, dim=1) @ normalize(second, dim=1).mT
