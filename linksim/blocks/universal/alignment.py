"""Encoders of channel and environment, aligned: what AI2MMUM stands on."""

from __future__ import annotations

import torch

from linksim.blocks.universal.base import LearnedUniversalBlock, Truth, UniversalShape, View
from linksim.blocks.universal.encoders import ChannelEncoder, EnvironmentEncoder
from linksim.blocks.universal.tasks import TASKS
from linksim.core.registry import register
from linksim.core.types import NonNegativeFloat, PositiveInt

_FIRST_TEMPERATURE = 0.07
_AT_ONCE = 25
"""Terminals that are told apart in validation: as many as a chunk has, so that it does not depend on the batch."""


@register("universal", "alignment", trains=True)
class Alignment(LearnedUniversalBlock):
    """EPNN and CFENN, trained so that a terminal's channel and its environment give the same vector.

    It answers no task itself. Contrastive pre-training: symmetric cross-entropy over the pairs of a batch. With
    `supervision` (ours) linear heads on the vectors must also answer the tasks of their views: what the other view
    cannot tell, such as the phases between paths, is not lost then.

    Source: AI2MMUM, Section II-A and Fig. 3; A. Radford et al., "Learning Transferable Visual Models From Natural
    Language Supervision", ICML 2021, Fig. 3 (the loss).

    :param num_features: of the vectors; the paper has 128.
    :param supervision: weight of the tasks' losses; 0 in the paper.
    """

    version = 2

    def __init__(self, num_features: PositiveInt = 128, supervision: NonNegativeFloat = 0.0) -> None:
        super().__init__()
        self.num_features, self.supervision = num_features, supervision

    def tasks(self) -> dict[str, str]:
        return {}

    def prepare(self, shape: UniversalShape) -> None:
        self.num_streams = shape.num_streams
        self.channel = ChannelEncoder(shape, self.num_features)
        self.environment = EnvironmentEncoder(self.num_features)
        self.log_temperature = torch.nn.Parameter(torch.tensor(_FIRST_TEMPERATURE).log())
        self.heads = torch.nn.ModuleDict({
            name: torch.nn.Linear(self.num_features, task.num_outputs(shape)) for name, task in TASKS.items()
        } if self.supervision else {})

    def answer(self, task: str, view: View) -> torch.Tensor:
        raise ValueError(f"alignment answers no task, so not {task!r}")

    def loss(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        features = self._features(views)
        scores = _cosines(features["channel"], features["environment"]) / self.log_temperature.exp()
        same = torch.arange(len(scores), device=scores.device)
        loss = sum(torch.nn.functional.cross_entropy(part, same) for part in (scores, scores.mT)) / 2
        for name, head in self.heads.items():
            told = head(features[TASKS[name].given])
            loss = loss + self.supervision * TASKS[name].loss(told, truth, num_streams=self.num_streams).mean()
        return loss

    def errors(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        """Share of the others that a terminal's environment is taken to be less like its channel than theirs; with
        supervision the tasks' mean error beside.
        """
        features = self._features(views)
        scores = _cosines(features["channel"], features["environment"])
        parts = []
        for part in torch.arange(len(scores), device=scores.device).split(_AT_ONCE):
            here = scores[part][:, part]
            parts.append((here > here.diagonal()[:, None]).float().sum(1) / max(len(part) - 1, 1))
        errors = torch.cat(parts)
        for name, head in self.heads.items():
            answer = TASKS[name].answer(head(features[TASKS[name].given]), self.num_streams)
            errors = errors + self.supervision * TASKS[name].error(answer, truth) / len(TASKS)
        return errors

    def _features(self, views: dict[str, View]) -> dict[str, torch.Tensor]:
        return {"channel": self.channel(views["channel"]), "environment": self.environment(views["environment"])}


def _cosines(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    normalize = torch.nn.functional.normalize
    return normalize(first, dim=1) @ normalize(second, dim=1).mT
