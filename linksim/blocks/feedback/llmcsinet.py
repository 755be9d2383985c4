"""LLMCsiNet: self-information picks the elements that are reported, a language model predicts the masked ones."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.backbone import BackboneChoice, LanguageModel, build_backbone
from linksim.blocks.feedback.masked import MaskedCodec, ReportedElements
from linksim.blocks.feedback.networks.idasnet import PreliminaryDecoder
from linksim.blocks.feedback.networks.llmcsinet import MaskedTokenPredictor
from linksim.blocks.feedback.requirements import llmcsinet_sizes
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import PositiveInt


@register("feedback", "llmcsinet", trains=True, requires=llmcsinet_sizes)
class LLMCsiNetCodec(MaskedCodec):
    """f_EN at the terminal, f_PD and the language model f_TP at the base station, trained in two stages.

    LLMCsiNet-S, -M and -L have 1, 3 and 6 layers; with ``several_values`` it is LLMCsiNet-MC, with ``selection:
    random`` the ablation "without f_EN". In the first half of the epochs f_EN and f_PD learn alone, in the second all
    of them, or f_TP alone. The paper's language model is gpt2-large.

    :param preliminary: f_PD; without it ("without f_PD") there is one stage. Without f_TP it is `idasnet`.
    :param freeze: in the second stage f_EN and f_PD stay as they are.
    :param patch_size: rows and beams of a patch, S_p.
    :param attention: "causal", as the model was pretrained, or "full".

    Source: Wu, Xu, Liang, You and Debbah, "Large language model empowered CSI feedback in massive MIMO systems",
    Sections III and IV, Algorithm 1; what it leaves open stands in `linksim.blocks.feedback.networks`.
    """

    def __init__(self, report: ReportedElements = ReportedElements(), preliminary: bool = True, freeze: bool = False,
                 language_model: LanguageModel = BackboneChoice(adaptation="full"), patch_size: PositiveInt = 4,
                 attention: Literal["causal", "full"] = "causal") -> None:
        super().__init__(report)
        self.choice = language_model
        self.with_preliminary, self.freeze = preliminary, freeze
        self.patch_size, self.attention = patch_size, attention
        self.num_stages = 2 if preliminary else 1
        self._stage = self.num_stages - 1

    @property
    def sides(self) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
        return [self.selector], [self.preliminary, self.prediction]

    def make_decoder(self, rows: int, beams: int) -> None:
        self.preliminary = PreliminaryDecoder() if self.with_preliminary else torch.nn.Identity()
        try:
            self.prediction = MaskedTokenPredictor(rows, beams, build_backbone(self.choice), self.patch_size,
                                                   self.attention)
        except ValueError as error:
            raise ScenarioError(f"feedback {error}") from None

    def begin_stage(self, stage: int) -> None:
        """0: f_EN and f_PD alone. 1: all, or f_TP alone."""
        self._stage = stage
        frozen = self.freeze and stage == self.num_stages - 1
        for part in (self.selector, self.preliminary):
            part.requires_grad_(not frozen).train(self.training and not frozen)

    def restored(self, filled: torch.Tensor) -> torch.Tensor:
        preliminary = self.preliminary(filled)
        return preliminary if self._stage < self.num_stages - 1 else self.prediction(preliminary)
