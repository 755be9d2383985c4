"""CSI-ALM: a language model predicts channels that are aligned with its word embeddings.

| | trained | all | published (Table I) | published latency (RTX A6000) |
|---|---|---|---|---|
| csi_alm with gpt2 | 5,613,976 | 87.53 M | 11.8 M of 93.8 M | 198.2 ms |
| csi_alm with smollm2 | 3,235,096 | 52.79 M | | |

The frozen 82 M are the paper's. Its equations (9) to (20) hold 5.4 M parameters at GPT-2's width, LoRA and projection
0.2 M; where the other 6.2 M stand it does not say, and none were made up to fill the gap.

Source: Z. Li, Q. Yang, Z. Xiong, Z. Shi and T. Q. S. Quek, "Bridging the Modality Gap: Enhancing Channel Prediction
with Semantically Aligned LLMs and Knowledge Distillation", Sections III and V; equation numbers are the paper's.

What the paper leaves open, and what is chosen here:

| open | choice |
|---|---|
| CSSA, drawn in Fig. 2 alone | self-attention between the 2F feature rows, added to its input |
| normalisation (8) over the training batch | each user's own root mean square, see `to_sequences` |
| which axis Linear (10) maps | features to the model's width: one token for each sample |
| size of W_gate (17), inconsistent as printed | 2D to D for each token, with a bias |
| a score for each anchor and token (20) | an anchor's is its mean cosine with all tokens of a sequence |
| PCA size d, anchors m, heads | 100, 32, 8 |
| several steps ahead: equations predict one, the experiments L | the projection maps all tokens' times to L steps |
| lambda_1 | 0.01 |
"""

from __future__ import annotations

import torch

from linksim.backbone import Backbone, BackboneChoice, LanguageModelAndWords, build_backbone
from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch
from linksim.blocks.prediction.rules import csi_alm_sizes
from linksim.blocks.prediction.sequences import SequencePredictor, taken_sequences
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import NonNegativeFloat, PositiveInt


class CrossSpatialAttention(torch.nn.Module):
    """CSSA (9): feature rows weigh each other, whatever their number; a row is described by the samples of its patches.

    :param num_samples: samples of a row, filled up to whole patches.
    :param patch_size: samples of a patch, mapped together.
    """

    def __init__(self, num_samples: int, patch_size: int, width: int = 32) -> None:
        super().__init__()
        self.describe = torch.nn.Linear(num_samples, width)
        self.query, self.key = torch.nn.Linear(width, width), torch.nn.Linear(width, width)
        self.value = torch.nn.Linear(patch_size, patch_size)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """``[sequence, feature, patch, sample of the patch]`` to the same shape."""
        rows = self.describe(y.flatten(2))  # [sequence, feature, width]
        weight = (self.query(rows) @ self.key(rows).mT / rows.shape[-1] ** 0.5).softmax(-1)
        return y + (weight @ self.value(y).flatten(2)).view_as(y)


class CrossModalAlignment(torch.nn.Module):
    """Tokens of CSI meet the principal words of the dictionary: (13) to (18).

    :param width: of the language model, D.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.self_attention = torch.nn.MultiheadAttention(width, num_heads)
        self.query, self.key, self.value = (torch.nn.Linear(width, width, bias=False) for _ in range(3))
        self.gate = torch.nn.Linear(2 * width, width)

    def forward(self, tokens: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """``[sequence, token, D]`` and ``[d, D]`` to ``[sequence, token, D]``."""
        # contiguous, as products with transposed tokens copy the weights for each of them
        rows = tokens.transpose(0, 1).contiguous()
        time = self.self_attention(rows, rows, rows, need_weights=False)[0].transpose(0, 1).contiguous()  # (13)
        scores = self.query(time) @ self.key(words).mT / words.shape[-1] ** 0.5
        cross = scores.softmax(-1) @ self.value(words)  # (15), (16)
        gate = self.gate(torch.cat([cross, time], -1)).sigmoid()  # (17)
        return cross * gate + time * (1 - gate)  # (18)


class CsiAlmNetwork(torch.nn.Module):
    """Fig. 1: preprocessing, alignment, prompts, language model, projection.

    :param backbone: the language model.
    :param num_words: principal words, d.
    :param num_anchors: semantic anchors, m.
    :param num_prompts: anchors put before the tokens, K.
    """

    def __init__(self, shape: ProblemShape, backbone: Backbone, patch_size: int, num_words: int, num_anchors: int,
                 num_prompts: int, num_heads: int) -> None:
        super().__init__()
        if backbone.width % num_heads:
            raise ScenarioError(f"csi_alm: the language model's width {backbone.width} is no multiple of num_heads "
                                f"{num_heads}")
        features = 2 * shape.num_subcarriers
        self.padding = -shape.num_history % patch_size
        self.num_history, self.num_prompts, self.patch_size = shape.num_history, num_prompts, patch_size
        self.attend_rows = CrossSpatialAttention(shape.num_history + self.padding, patch_size)
        self.embedding = torch.nn.Linear(features, backbone.width)
        self.align = CrossModalAlignment(backbone.width, num_heads)
        self.register_buffer("words", backbone.principal_words(num_words))  # (14), once before training
        self.to_anchors = torch.nn.Linear(num_words, num_anchors, bias=False)
        self.backbone = backbone
        self.output_features = torch.nn.Linear(backbone.width, features)
        self.output_times = torch.nn.Linear(shape.num_history, shape.num_future)

    def tokens(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the language model reads.

        :param x: ``[sequence, num_history, 2 * subcarrier]``.
        :returns: ``[sequence, K + num_history, D]`` (21), and ``[sequence]``, the cosine (31) of prompts and tokens.
        """
        rows = torch.nn.functional.pad(x.mT, (0, self.padding)).unflatten(2, (-1, self.patch_size))
        rows = self.attend_rows(rows).flatten(2)[..., :self.num_history]
        text = self.align(self.embedding(rows.mT), self.words)
        anchors = self.to_anchors(self.words.mT).mT  # (19): [m, D]
        unit = torch.nn.functional.normalize
        cosine = (unit(text, dim=-1) @ unit(anchors, dim=-1).mT).mean(1)  # (20): [sequence, m]
        best = cosine.topk(self.num_prompts, -1)
        return torch.cat([anchors[best.indices], text], 1), best.values.mean(-1)

    def with_alignment(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The prediction, and the cosine ``[sequence]`` that the loss rewards."""
        tokens, cosine = self.tokens(x)
        hidden = self.backbone(tokens)[:, self.num_prompts:]
        return self.output_times(self.output_features(hidden).mT).mT, cosine  # (12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, num_history, 2 * subcarrier]`` to ``[sequence, num_future, 2 * subcarrier]``."""
        return self.with_alignment(x)[0]


@register("predictor", "csi_alm", trains=True, requires=csi_alm_sizes)
class CsiAlmPredictor(SequencePredictor):
    """CSI-ALM: a language model with LoRA reads channels aligned with its word embeddings, one antenna at a time.

    :param patch_size: samples of a patch, N.
    :param num_words: principal words, d.
    :param num_anchors: semantic anchors, m.
    :param num_prompts: anchors put before the tokens, K.
    :param num_heads: of the self-attention (13).
    :param alignment_weight: lambda_1 of the loss (29).
    """

    version = 2  # 1 described a row by the mean of its patches
    sequences_at_once = 512

    def __init__(self, language_model: LanguageModelAndWords = BackboneChoice(), patch_size: PositiveInt = 4,
                 num_words: PositiveInt = 100, num_anchors: PositiveInt = 32, num_prompts: PositiveInt = 4,
                 num_heads: PositiveInt = 8, alignment_weight: NonNegativeFloat = 0.01) -> None:
        super().__init__()
        if not num_prompts <= num_anchors < num_words:
            raise ScenarioError(f"csi_alm: num_prompts {num_prompts} of num_anchors {num_anchors} out of num_words "
                                f"{num_words}: at most as many prompts as anchors, and fewer anchors than words")
        self.choice = language_model
        self.sizes = {"patch_size": patch_size, "num_words": num_words, "num_anchors": num_anchors,
                      "num_prompts": num_prompts, "num_heads": num_heads}
        self.alignment_weight = alignment_weight

    def make_network(self, shape: ProblemShape) -> CsiAlmNetwork:
        return CsiAlmNetwork(shape, build_backbone(self.choice), **self.sizes)

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        taken = taken_sequences(batch, self.antenna_pairs)
        parts = [self.network.with_alignment(part) for part in taken.x.split(self.sequences_at_once)]
        y, cosine = (torch.cat(values) for values in zip(*parts, strict=True))
        return taken.errors(y).mean() - self.alignment_weight * cosine.mean()  # (29)
