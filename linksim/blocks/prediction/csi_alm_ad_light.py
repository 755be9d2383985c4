"""CSI-ALM-AD-Light: a small transformer in the place of CSI-ALM-AD's language model, which may teach it.

Tokens, classical estimate and everything around are those of `csi_alm_ad`; the transformer with soft prompts, and the
distillation by attention relations, are CSI-ALM-Light's (see `csi_alm_light`).

| | trained |
|---|---|
| csi_alm_ad_light | 0.477 M |
"""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.prediction.angle_delay_tokens import AngleDelayPredictor, WaveState
from linksim.blocks.prediction.csi_alm_ad import CsiAlmAdPredictor
from linksim.blocks.prediction.csi_alm_light import Attended, Layer, check_relations, relation_loss
from linksim.blocks.prediction.rules import csi_alm_ad_light_sizes
from linksim.blocks.prediction.wave_grid import GridSize
from linksim.core.csi import Panel
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import Iterations, NonNegativeFloat, NonNegativeInt, PositiveInt


class TransformerMixer(torch.nn.Module):
    """Soft prompts and tokens through layers that see all of them."""

    def __init__(self, width: int, feedforward_width: int, num_layers: int, num_heads: int, num_prompts: int) -> None:
        super().__init__()
        self.prompts = torch.nn.Parameter(0.02 * torch.randn(num_prompts, width))
        self.layers = torch.nn.ModuleList(Layer(width, feedforward_width, num_heads) for _ in range(num_layers))
        self.norm = torch.nn.LayerNorm(width)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, Attended]:
        """``[user, token, width]`` to what is added to it, and what the last layer's attention works on.

        The latter is of ``[user, prompt and token, width]``.
        """
        x = torch.cat([self.prompts.expand(len(tokens), -1, -1), tokens], 1)
        for layer in self.layers:
            x, attended = layer(x)
        return self.norm(x)[:, len(self.prompts):], attended


@register("predictor", "csi_alm_ad_light", trains=True, min_history=2, requires=csi_alm_ad_light_sizes)
class CsiAlmAdLightPredictor(AngleDelayPredictor):
    """CSI-ALM-AD-Light: a small transformer reads a user's strongest beams and delays, around a classical estimate.

    :param feedforward_width: hidden units of the feed-forward layers.
    :param num_layers: transformer layers.
    :param num_heads: attention heads; they divide ``width``.
    :param num_prompts: soft prompts; as many as the teacher's.
    :param num_relation_heads: heads that attention relations are split into.
    :param distillation_weight: of the attention relations in the loss, lambda_2, where there is a teacher.
    :param num_iterations: classical ones before the transformer.
    :param num_steps: learned steps for each wave after it.
    :param num_tokens: beams and delays that the transformer reads, the strongest first.
    :param width: of the vector of a beam and delay.
    :param hidden_size: of each step's network.
    :param doppler: maximum Doppler shift "known" (the terminal's speed) or "estimated" from the history.
    """

    def __init__(self, feedforward_width: PositiveInt = 256, num_layers: PositiveInt = 3, num_heads: PositiveInt = 4,
                 num_prompts: PositiveInt = 4, num_relation_heads: PositiveInt = 16,
                 distillation_weight: NonNegativeFloat = 0.1, num_iterations: Iterations = 2,
                 num_steps: NonNegativeInt = 3, num_tokens: PositiveInt = 64, width: PositiveInt = 128,
                 hidden_size: PositiveInt = 32, doppler: Literal["known", "estimated"] = "known",
                 size: GridSize = GridSize()) -> None:
        super().__init__(num_iterations, num_steps, num_tokens, width, hidden_size, doppler, size)
        if width % num_heads:
            raise ScenarioError(f"csi_alm_ad_light: width {width} is no multiple of num_heads {num_heads}")
        self.sizes = {"feedforward_width": feedforward_width, "num_layers": num_layers, "num_heads": num_heads,
                      "num_prompts": num_prompts}
        self.num_relation_heads = num_relation_heads
        self.distillation_weight = distillation_weight
        self._teacher: list[CsiAlmAdPredictor] = []  # a list hides it from the parameters that are trained and saved

    def make_mixer(self) -> TransformerMixer:
        return TransformerMixer(self.width, **self.sizes)

    def learn_from(self, teacher: CsiAlmAdPredictor) -> None:
        """Train towards a trained teacher's attention relations as well; it is frozen.

        :raises ScenarioError: a block whose attention relations a student of these options cannot have.
        """
        if not isinstance(teacher, CsiAlmAdPredictor):
            raise ScenarioError(f"csi_alm_ad_light learns from csi_alm_ad alone (training.teacher is a "
                                f"{teacher.block_name})")
        if (teacher.num_iterations, teacher.num_tokens) != (self.num_iterations, self.num_tokens):
            raise ScenarioError("csi_alm_ad_light: its teacher reads other tokens: make num_iterations and num_tokens "
                                "equal")
        mixer = teacher.network.mixer
        check_relations("csi_alm_ad_light", mixer.backbone, mixer.text.num_prompts, self.sizes["num_prompts"],
                        self.width, self.num_relation_heads)
        self._teacher = [teacher.eval().requires_grad_(False)]

    def extra_loss(self, state: WaveState, said: Attended, panel: Panel, band_hz: float) -> torch.Tensor | float:
        if not self._teacher:
            return 0.0
        network = self._teacher[0].network
        with torch.no_grad():
            text = network.mixer.prompted(network.tokens(state, panel, band_hz)[1])[0]
            taught = network.mixer.backbone.forward_with_attention(text)[1]
        return self.distillation_weight * relation_loss(taught, said, self.num_relation_heads)  # (32)
