"""A plugin for the tests: the smallest predictor that learns, and that fails in each way in which training can."""

import os
import time

import torch

from linksim import register
from linksim.blocks.prediction.learned import LearnedPredictor
from linksim.blocks.prediction.sequences import from_sequences, to_sequences


@register("predictor", "line", trains=True)
class LinePredictor(LearnedPredictor):
    """One linear layer over time, the same for every subcarrier, real and imaginary part.

    :param trouble: ``nan`` from the 31st step on, ``memory`` or ``slow``.
    :param level: with the mean of what it saw in training, a statistic that no gradient reaches.
    :param num_stages: of its training, which differ in nothing.
    """

    def __init__(self, dropout: float = 0.0, trouble: str = "", level: bool = False, num_stages: int = 1) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.trouble = trouble
        self.level, self.num_stages = level, num_stages
        self.steps = 0
        self.stages = []

    def begin_stage(self, stage):
        self.stages.append(stage)

    def prepare(self, shape):
        self.over_time = torch.nn.Linear(shape.num_history, shape.num_future, bias=False)
        if self.level:
            self.norm = torch.nn.BatchNorm1d(1)

    def predict(self, history, time_s, frequency_hz):
        x, scale = to_sequences(history)
        if self.level:
            x = self.norm(x.reshape(-1, 1)).reshape(x.shape)
        return from_sequences(self.over_time(self.dropout(x).mT).mT, scale, history, time_s, frequency_hz)

    def training_loss(self, batch):
        self.steps += 1
        if self.trouble == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.trouble == "slow":
            time.sleep(float(os.environ.get("LINE_STEP_S", "0.02")))
        loss = super().training_loss(batch)
        return loss * float("nan") if self.trouble == "nan" and self.steps > 30 else loss


@register("predictor", "pupil", trains=True)
class PupilPredictor(LinePredictor):
    """A line that may be taught by another one."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = []

    def learn_from(self, teacher):
        assert not teacher.training
        self.teacher = [teacher]

    def training_loss(self, batch):
        loss = super().training_loss(batch)
        for teacher in self.teacher:
            loss = loss + (self.over_time.weight - teacher.over_time.weight).square().sum()
        return loss
