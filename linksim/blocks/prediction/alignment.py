"""Vectors meet the words of a language model: the alignment and the prompts of CSI-ALM, (13) to (21)."""

from __future__ import annotations

import torch

from linksim.backbone import Backbone
from linksim.core.errors import ScenarioError


class CrossModalAlignment(torch.nn.Module):
    """Tokens meet the principal words of the dictionary: (13) to (18).

    (13) is a whole layer of a transformer's encoder, with residuals, norms and a feed-forward part, as in CALF, whose
    module this is; a bare self-attention with nothing around it is nobody's. So is the cross-attention: several heads
    and an output map, which also meet the paper's number of parameters.

    :param width: of the language model, D.
    """

    def __init__(self, width: int, num_heads: int, feedforward_width: int) -> None:
        super().__init__()
        self.self_attention = torch.nn.TransformerEncoderLayer(width, num_heads, feedforward_width, dropout=0.0,
                                                               activation="gelu", batch_first=True)
        self.num_heads = num_heads
        self.query, self.key, self.value = (torch.nn.Linear(width, width, bias=False) for _ in range(3))
        self.joined = torch.nn.Linear(width, width)
        self.gate = torch.nn.Linear(2 * width, width)

    def forward(self, tokens: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """``[sequence, token, D]`` and ``[d, D]`` to ``[sequence, token, D]``."""
        time = self.self_attention(tokens)  # (13)
        query, key, value = (part.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)
                             for part in (self.query(time), self.key(words), self.value(words)))
        weight = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        cross = self.joined((weight @ value).transpose(-2, -3).flatten(-2))  # (15), (16)
        gate = self.gate(torch.cat([cross, time], -1)).sigmoid()  # (17)
        return cross * gate + time * (1 - gate)  # (18)


class PromptedText(torch.nn.Module):
    """What the language model reads: semantic prompts, then aligned tokens.

    :param backbone: whose words they are.
    :param num_words: principal words, d.
    :param num_anchors: semantic anchors, m.
    :param num_prompts: anchors put before the tokens, K.
    :raises ScenarioError: the language model's width is no multiple of ``num_heads``.
    """

    def __init__(self, backbone: Backbone, num_words: int, num_anchors: int, num_prompts: int, num_heads: int,
                 feedforward_width: int) -> None:
        super().__init__()
        if backbone.width % num_heads:
            raise ScenarioError(f"the language model's width {backbone.width} is no multiple of num_heads {num_heads}")
        self.num_prompts = num_prompts
        self.align = CrossModalAlignment(backbone.width, num_heads, feedforward_width)
        self.register_buffer("words", backbone.principal_words(num_words))  # (14), once before training
        self.to_anchors = torch.nn.Linear(num_words, num_anchors, bias=False)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``[sequence, token, D]`` to ``[sequence, K + token, D]`` (21), and ``[sequence]``, the cosine (31)."""
        text = self.align(tokens, self.words)
        anchors = self.to_anchors(self.words.mT).mT  # (19): [m, D]
        unit = torch.nn.functional.normalize
        cosine = (unit(text, dim=-1) @ unit(anchors, dim=-1).mT).mean(1)  # (20): [sequence, m]
        best = cosine.topk(self.num_prompts, -1)
        return torch.cat([anchors[best.indices], text], 1), best.values.mean(-1)
