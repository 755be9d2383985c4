"""CSI-ALM-AD: a language model reads angle-delay tokens and improves on sparse Bayesian learning.

CSI-ALM (see `csi_alm`) with another representation, and with a classical estimate as the path around everything: tokens
are what that estimate knows of the user's 64 strongest beams and delays (see `angle_delay_tokens`), not one antenna's
samples, and what comes out changes the powers of plane waves, not the channel. Alignment with the dictionary, semantic
prompts, a language model with LoRA and a path around it are CSI-ALM's. The representation is ours.

| | trained | all |
|---|---|---|
| csi_alm_ad with smollm2 | 4.86 M | 54.42 M |
"""

from __future__ import annotations

from typing import Literal

import torch

from linksim.backbone import Backbone, BackboneChoice, LanguageModelAndWords, build_backbone
from linksim.blocks.prediction.alignment import PromptedText
from linksim.blocks.prediction.angle_delay_tokens import AngleDelayPredictor, WaveState
from linksim.blocks.prediction.rules import csi_alm_ad_sizes
from linksim.blocks.prediction.wave_grid import GridSize
from linksim.core.csi import Panel
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import Iterations, NonNegativeFloat, NonNegativeInt, PositiveInt


class LanguageModelMixer(torch.nn.Module):
    """Tokens through alignment, prompts and a language model, with a path around it."""

    def __init__(self, width: int, backbone: Backbone, num_words: int, num_anchors: int, num_prompts: int,
                 num_heads: int, feedforward_width: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Linear(width, backbone.width)
        self.text = PromptedText(backbone, num_words, num_anchors, num_prompts, num_heads, feedforward_width)
        self.backbone = backbone
        self.output = torch.nn.Linear(backbone.width, width)

    def prompted(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``[user, token, width]`` to what the language model reads, ``[user, K + token, D]``, and the cosine (31)."""
        return self.text(self.embedding(tokens))

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``[user, token, width]`` to what is added to it, and the cosine ``[user]``."""
        text, cosine = self.prompted(tokens)
        hidden = text + self.backbone(text)
        return self.output(hidden[:, self.text.num_prompts:]), cosine


@register("predictor", "csi_alm_ad", trains=True, min_history=2, requires=csi_alm_ad_sizes)
class CsiAlmAdPredictor(AngleDelayPredictor):
    """CSI-ALM-AD: a language model with LoRA reads a user's strongest beams and delays, around a classical estimate.

    :param num_words: principal words, d.
    :param num_anchors: semantic anchors, m.
    :param num_prompts: anchors put before the tokens, K.
    :param num_heads: of the attention before the language model.
    :param feedforward_width: of the layer around it.
    :param alignment_weight: lambda_1 of the loss (29).
    :param num_iterations: classical ones before the language model.
    :param num_steps: learned steps for each wave after it.
    :param num_tokens: beams and delays that the language model reads, the strongest first.
    :param width: of the vector of a beam and delay.
    :param hidden_size: of each step's network.
    :param doppler: maximum Doppler shift "known" (the terminal's speed) or "estimated" from the history.
    """

    def __init__(self, language_model: LanguageModelAndWords = BackboneChoice(), num_words: PositiveInt = 100,
                 num_anchors: PositiveInt = 32, num_prompts: PositiveInt = 4, num_heads: PositiveInt = 8,
                 feedforward_width: PositiveInt = 1024, alignment_weight: NonNegativeFloat = 0.01,
                 num_iterations: Iterations = 2, num_steps: NonNegativeInt = 3, num_tokens: PositiveInt = 64,
                 width: PositiveInt = 128, hidden_size: PositiveInt = 32,
                 doppler: Literal["known", "estimated"] = "known", size: GridSize = GridSize()) -> None:
        super().__init__(num_iterations, num_steps, num_tokens, width, hidden_size, doppler, size)
        if not num_prompts <= num_anchors < num_words:
            raise ScenarioError(f"csi_alm_ad: num_prompts {num_prompts} of num_anchors {num_anchors} out of num_words "
                                f"{num_words}: at most as many prompts as anchors, and fewer anchors than words")
        self.choice = language_model
        self.sizes = {"num_words": num_words, "num_anchors": num_anchors, "num_prompts": num_prompts,
                      "num_heads": num_heads, "feedforward_width": feedforward_width}
        self.alignment_weight = alignment_weight

    def make_mixer(self) -> LanguageModelMixer:
        return LanguageModelMixer(self.width, build_backbone(self.choice), **self.sizes)

    def extra_loss(self, state: WaveState, said: torch.Tensor, panel: Panel, band_hz: float) -> torch.Tensor:
        return -self.alignment_weight * said.mean()  # (29)
