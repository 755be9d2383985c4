"""LLMCsiNet: self-information picks the elements that are reported, a language model predicts the masked ones.

The networks, of which the terminal is `linksim.blocks.feedback.networks.selection` and f_PD is that of
`linksim.blocks.feedback.idasnet`:

| base station, f_PD and f_TP | S, 1 layer | M, 3 layers | L, 6 layers |
|---|---|---|---|
| parameters with GPT-2 Large | 19,849,794 | 59,204,674 | 118,236,994 |
| published | 19.85 M | 59.21 M | 118.24 M |

Source: J. Wu, W. Xu, L. Liang, X. You and M. Debbah, "Large Language Model Empowered CSI Feedback in Massive MIMO
Systems", Section IV-D, Fig. 4 and Table IV.

What the paper leaves open, and what is chosen here:

| open | choice |
|---|---|
| normalisation of H_p | each sample's own mean and standard deviation, undone at the end |
| place of the class token | first; what comes out of it is dropped |
| attention | the model's own, causal: a patch sees the class token and the patches before it; or "full", an option |
| positions of GPT-2 | left out with its embeddings, the learned ones take their place; Llama types keep rotary ones |
| final normalisation of the language model | kept |
| f_OUT | one linear map from a token to its patch |
| whether H_p is added to the output | yes, and the map begins at zero: the second stage begins where the first ended |
| a window that patches do not fill | zeros behind its last row and beam |
"""

from __future__ import annotations

from typing import Literal

import torch

from linksim.backbone import Backbone, BackboneChoice, LanguageModel, build_backbone
from linksim.blocks.feedback.idasnet import PreliminaryDecoder
from linksim.blocks.feedback.masked import MaskedCodec, ReportedElements
from linksim.blocks.feedback.networks.layers import pad_to_patches
from linksim.blocks.feedback.rules import llmcsinet_sizes
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import PositiveInt

NUM_LAYERS = {"S": 1, "M": 3, "L": 6}
"""Transformer layers, N_trans, of the paper's three sizes."""

_LEAST_VARIANCE = 1e-8
"""A window without variance stays what it is."""


class MaskedTokenPredictor(torch.nn.Module):
    """f_TP: H_p as a sequence of patches, the language model, and patches again.

    :param rows: delay rows of the window; ``beams`` its angles.
    :param backbone: the language model and what of it is trained, or a control in its place; GPT-2 types lose their
        position vectors.
    :param patch_size: S_p, rows and beams of a patch.
    :param attention: "causal", as the language model was pretrained; "full": every token sees all.
    :param residual: H_p is added to the output.
    :raises ValueError: more tokens than the language model takes.
    """

    def __init__(self, rows: int, beams: int, backbone: Backbone, patch_size: int = 4,
                 attention: Literal["causal", "full"] = "causal", residual: bool = True) -> None:
        super().__init__()
        self.patch_size, self.attention, self.residual = patch_size, attention, residual
        self.grid = -(-rows // patch_size), -(-beams // patch_size)
        num_tokens = self.grid[0] * self.grid[1]
        if backbone.max_tokens is not None and num_tokens + 1 > backbone.max_tokens:
            raise ValueError(f"llmcsinet: a window of {rows} x {beams} makes {num_tokens} patches of {patch_size} x "
                             f"{patch_size} and a class token, the language model takes {backbone.max_tokens} tokens; "
                             "choose a larger patch_size")
        self.to_tokens = torch.nn.Conv2d(2, backbone.width, patch_size, stride=patch_size)
        self.positions = torch.nn.Parameter(torch.empty(num_tokens, backbone.width).normal_(0, 0.02))
        self.class_token = torch.nn.Parameter(torch.empty(1, backbone.width).normal_(0, 0.02))
        self.backbone = backbone
        self.to_patches = torch.nn.Linear(backbone.width, 2 * patch_size**2)
        if backbone.body is not None and backbone.body.config.model_type == "gpt2":
            backbone.body.wpe = NoPositions(backbone.width)
        if residual:
            torch.nn.init.zeros_(self.to_patches.weight)
            torch.nn.init.zeros_(self.to_patches.bias)

    def forward(self, preliminary: torch.Tensor) -> torch.Tensor:
        """H_p to the restored window, both ``[n, 2, rows, beams]``."""
        variance, mean = torch.var_mean(preliminary, (1, 2, 3), correction=0, keepdim=True)
        deviation = (variance + _LEAST_VARIANCE).sqrt()
        hidden = self._hidden(self._tokens((preliminary - mean) / deviation))
        patches = self.to_patches(hidden[:, 1:]).mT.unflatten(2, self.grid)
        output = torch.nn.functional.pixel_shuffle(patches, self.patch_size)
        output = deviation * output[..., :preliminary.shape[2], :preliminary.shape[3]]
        return output + (preliminary if self.residual else mean)

    def _tokens(self, normalized: torch.Tensor) -> torch.Tensor:
        """f_PRE: ``[n, 2, rows, beams]`` to ``[n, 1 + num_tokens, width]``."""
        tokens = self.to_tokens(pad_to_patches(normalized, self.patch_size)).flatten(2).mT + self.positions
        return torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], 1)

    def _hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.attention == "causal" or self.backbone.body is None:
            return self.backbone(tokens)
        everything = tokens.new_zeros(1, 1, tokens.shape[1], tokens.shape[1])  # added to the scores: nothing is masked
        return self.backbone.body(inputs_embeds=tokens, attention_mask=everything, use_cache=False).last_hidden_state


class NoPositions(torch.nn.Module):
    """In place of GPT-2's table of position vectors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, position: torch.Tensor) -> torch.Tensor:
        """``[..., token]`` to zeros ``[..., token, width]``."""
        return torch.zeros(*position.shape, self.width, device=position.device)


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
