"""Csi-LLM: every CSI sample is a token, and a language model predicts the next one.

| | trained | all |
|---|---|---|
| csi_llm with smollm2 | 295,680 | 49.85 M |

Source: S. Fan, Z. Liu, X. Gu and H. Li, "Csi-LLM: a novel downlink channel prediction method aligned with LLM
pre-training", IEEE WCNC 2025 (arXiv:2409.00005). No more than its abstract and introduction was at hand: training as a
language model is pretrained (next-token generation becomes next-sample prediction), histories of variable length, and
several steps by going on step by step. All else is chosen here:

| open, or not at hand | choice |
|---|---|
| what a token is | one antenna pair's sample on all subcarriers, real parts first, through one linear map |
| normalisation | each user's own root mean square, see `to_sequences` |
| how the language model is trained | LoRA; SC-LMKB says no more of it than that it is fine-tuned |
| output | one linear map of the hidden state after sample t to sample t + 1 |
| labels of next samples within the history | the noisy samples: noise that is independent of all before it adds a \
constant to the loss and nothing to its expected gradient |
| what is fed at the predicted times in training | the true channel with the history's noise, as language models are \
fed the true text: no sample shows by its quality that it is to be predicted |
| FDD, where the history is of another band | its own band goes on step by step, and a second linear map adds what \
takes each next sample to the band asked for; zero at first, and there in TDD as well |
| loss | the NMSE of the future, plus ``next_sample_weight`` times that of all next samples of the history's band |
| caching | of what the layers made of earlier samples, so that a step costs one token |
"""

from __future__ import annotations

import torch

from linksim.backbone import Backbone, BackboneChoice, LanguageModel, build_backbone
from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch
from linksim.blocks.prediction.rules import csi_llm_sizes
from linksim.blocks.prediction.sequences import SequencePredictor, from_sequences, taken_sequences, to_sequences
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import NonNegativeFloat


class CsiLlmNetwork(torch.nn.Module):
    """Embedding, language model, next sample.

    :param backbone: the language model.
    """

    def __init__(self, shape: ProblemShape, backbone: Backbone) -> None:
        super().__init__()
        features = 2 * shape.num_subcarriers
        self.num_future = shape.num_future
        self.embedding = torch.nn.Linear(features, backbone.width)
        self.backbone = backbone
        self.next_sample = torch.nn.Linear(backbone.width, features)
        self.to_target = torch.nn.Linear(backbone.width, features)
        torch.nn.init.zeros_(self.to_target.weight)
        torch.nn.init.zeros_(self.to_target.bias)

    def after_each(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What follows each sample, given it and those before it.

        :param x: ``[sequence, time, 2 * subcarrier]``, any number of times.
        :returns: the next samples in the band of ``x``, and in the band asked for, both of the shape of ``x``.
        """
        hidden = self.backbone(self.embedding(x))
        following = self.next_sample(hidden)
        return following, following + self.to_target(hidden)

    def roll_out(self, x: torch.Tensor, num_steps: int) -> torch.Tensor:
        """``[sequence, time, 2 * subcarrier]`` to the ``num_steps`` samples after it, fed with its own predictions."""
        steps, new, memory = [], x, None
        while len(steps) < num_steps:
            hidden, memory = self.backbone.forward_on(self.embedding(new), memory)
            new = self.next_sample(hidden[:, -1:])
            steps.append(new + self.to_target(hidden[:, -1:]))
        return torch.cat(steps, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, num_history, 2 * subcarrier]`` to ``[sequence, num_future, 2 * subcarrier]``."""
        return self.roll_out(x, self.num_future)


@register("predictor", "csi_llm", min_history=2, trains=True, requires=csi_llm_sizes)
class CsiLlmPredictor(SequencePredictor):
    """Csi-LLM: a language model predicts sample after sample, of any history and horizon, one antenna at a time.

    :param next_sample_weight: of the error of all next samples in the loss; 0 is the control that is not trained as
        language models are, but on the future alone.
    """

    any_history = True
    sequences_at_once = 512

    def __init__(self, language_model: LanguageModel = BackboneChoice(),
                 next_sample_weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.choice = language_model
        self.next_sample_weight = next_sample_weight

    def make_network(self, shape: ProblemShape) -> CsiLlmNetwork:
        return CsiLlmNetwork(shape, build_backbone(self.choice))

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        """As every predictor, from any history of at least two samples to any whole CSI periods after it.

        :raises ValueError: another number of subcarriers, or times between CSI periods.
        """
        if history.h.shape[5] != self._trained_for[1]:
            raise ValueError(f"csi_llm is made for histories of {self._trained_for[1]} subcarriers, but is given "
                             f"{history.h.shape[5]}")
        steps = steps_after(history, time_s)
        x, scale = to_sequences(history)
        y = torch.cat([self.network.roll_out(part, int(steps.max())) for part in self.parts(x)])
        return from_sequences(y[:, steps - 1], scale, history, time_s, frequency_hz)

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        taken = taken_sequences(batch)
        future = taken.of(batch.uplink_future)
        known = torch.cat([taken.x, future + self._noise(batch, taken.scale, future)], 1)[:, :-1]
        parts = [self.network.after_each(part) for part in known.split(self.sequences_at_once)]
        following, y = (torch.cat(values) for values in zip(*parts, strict=True))
        # normalised samples have unit power in a real and an imaginary part each
        next_error = 2 * (following.float() - torch.cat([taken.x[:, 1:], future], 1)).square().mean()
        return taken.errors(y[:, -self.network.num_future:]).mean() + self.next_sample_weight * next_error

    @staticmethod
    def _noise(batch: TrainingBatch, scale: torch.Tensor, future: torch.Tensor) -> torch.Tensor:
        """As on the history, from torch's generator of the CPU."""
        deviation = (batch.history.noise_variance / 2).sqrt()[:, :, None, None, None]
        deviation = deviation / torch.where(scale > 0, scale, 1.0)
        noise = torch.randn(future.shape).to(future.device).view(*scale.shape[:2], -1, *future.shape[1:])
        return (deviation * noise).flatten(0, 2)


def steps_after(history: Csi, time_s: torch.Tensor) -> torch.Tensor:
    """How many CSI periods after the history's last sample each time is: ``[horizon]``, whole numbers from 1 on.

    :raises ValueError: a time before the first of them, or between two.
    """
    steps = (time_s - history.time_s[-1]) / history.sampling_period_s
    whole = steps.round()
    if (whole < 1).any() or ((steps - whole).abs() > 1e-3).any():
        raise ValueError("csi_llm predicts whole CSI periods after the last sample of the history (asked for "
                         f"{', '.join(f'{float(step):.3g}' for step in steps)} periods)")
    return whole.long()
