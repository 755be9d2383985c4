"""CSI-ALM: a language model predicts channels that are aligned with its word embeddings.

| | trained | all | published (Table I) | published latency (RTX A6000) |
|---|---|---|---|---|
| csi_alm with gpt2, feed-forward width 2048 | 11.87 M | 93.78 M | 11.8 M of 93.8 M | 198.2 ms |
| csi_alm with smollm2 | 6.63 M | 56.19 M | | |

Source: Z. Li, Q. Yang, Z. Xiong, Z. Shi and T. Q. S. Quek, "Bridging the Modality Gap: Enhancing Channel Prediction
with Semantically Aligned LLMs and Knowledge Distillation", Sections III and V; equation numbers are the paper's.

What the paper leaves open, and what is chosen here; `docs/results/readings.md` says what each choice is worth:

| open | choice |
|---|---|
| CSSA, drawn in Fig. 2 alone | self-attention between the 2F feature rows, added to its input |
| normalisation (8) over the training batch | each user's own root mean square, see `to_sequences` |
| which axis Linear (10) maps | a patch's features and samples to the model's width: a token is a patch, as in \
LLM4CP and PatchTST; "patching … to reduce computational complexity" reduces nothing otherwise |
| positions of tokens before (13) | learned |
| "MHSA" (13), cross-attention (15) | a transformer's encoder layer, and several heads with an output map, as in CALF |
| size of W_gate (17), inconsistent as printed | 2D to D for each token, with a bias |
| a score for each anchor and token (20) | an anchor's is its mean cosine with all tokens of a sequence |
| what stands around the language model | a path, as in CALF: its output is added to its input |
| projection (12), and several steps ahead: equations predict one, the experiments L | one linear map of all tokens, \
prompts too, to all L steps |
| PCA size d, anchors m, heads | 100, 32, 8 |
| feed-forward width | 1024 for smollm2, which is narrower than GPT-2; CALF has 2048 |
| lambda_1 | 0.01 |

With a token for each patch, the encoder layer, the output map and the flattened projection the number of parameters is
the published one. Self-attention with nothing around it and a token a sample, as it was here, has 5.6 M.
"""

from __future__ import annotations

import torch

from linksim.backbone import Backbone, BackboneChoice, LanguageModelAndWords, build_backbone
from linksim.blocks.prediction.alignment import PromptedText
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


class CsiAlmNetwork(torch.nn.Module):
    """Fig. 1: preprocessing, alignment, prompts, language model, projection.

    :param backbone: the language model.
    :param num_words: principal words, d.
    :param num_anchors: semantic anchors, m.
    :param num_prompts: anchors put before the tokens, K.
    :param feedforward_width: of the encoder layer (13).
    """

    def __init__(self, shape: ProblemShape, backbone: Backbone, patch_size: int, num_words: int, num_anchors: int,
                 num_prompts: int, num_heads: int, feedforward_width: int) -> None:
        super().__init__()
        features = 2 * shape.num_subcarriers
        self.padding = -shape.num_history % patch_size
        self.patch_size, self.num_future = patch_size, shape.num_future
        num_patches = (shape.num_history + self.padding) // patch_size
        self.attend_rows = CrossSpatialAttention(shape.num_history + self.padding, patch_size)
        self.embedding = torch.nn.Linear(features * patch_size, backbone.width)
        self.positions = torch.nn.Parameter(0.02 * torch.randn(num_patches, backbone.width))
        self.text = PromptedText(backbone, num_words, num_anchors, num_prompts, num_heads, feedforward_width)
        self.backbone = backbone
        self.output = torch.nn.Linear((num_prompts + num_patches) * backbone.width, shape.num_future * features)

    def tokens(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the language model reads.

        :param x: ``[sequence, num_history, 2 * subcarrier]``.
        :returns: ``[sequence, K + patch, D]`` (21), and ``[sequence]``, the cosine (31) of prompts and tokens.
        """
        rows = torch.nn.functional.pad(x.mT, (0, self.padding)).unflatten(2, (-1, self.patch_size))
        patches = self.attend_rows(rows).transpose(1, 2).flatten(2)  # [sequence, patch, feature times sample]
        return self.text(self.embedding(patches) + self.positions)

    def with_alignment(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The prediction, and the cosine ``[sequence]`` that the loss rewards."""
        tokens, cosine = self.tokens(x)
        hidden = tokens + self.backbone(tokens)
        return self.output(hidden.flatten(1)).unflatten(1, (self.num_future, -1)), cosine  # (12)

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
    :param num_heads: of the self-attention (13) and the cross-attention (15).
    :param feedforward_width: of the layer around the self-attention.
    :param alignment_weight: lambda_1 of the loss (29).
    """

    version = 3  # 2 had one token a sample, without positions, and nothing around (13) and the language model
    sequences_at_once = 512

    def __init__(self, language_model: LanguageModelAndWords = BackboneChoice(), patch_size: PositiveInt = 4,
                 num_words: PositiveInt = 100, num_anchors: PositiveInt = 32, num_prompts: PositiveInt = 4,
                 num_heads: PositiveInt = 8, feedforward_width: PositiveInt = 1024,
                 alignment_weight: NonNegativeFloat = 0.01) -> None:
        super().__init__()
        if not num_prompts <= num_anchors < num_words:
            raise ScenarioError(f"csi_alm: num_prompts {num_prompts} of num_anchors {num_anchors} out of num_words "
                                f"{num_words}: at most as many prompts as anchors, and fewer anchors than words")
        self.choice = language_model
        self.sizes = {"patch_size": patch_size, "num_words": num_words, "num_anchors": num_anchors,
                      "num_prompts": num_prompts, "num_heads": num_heads,
                      "feedforward_width": feedforward_width}
        self.alignment_weight = alignment_weight

    def make_network(self, shape: ProblemShape) -> CsiAlmNetwork:
        return CsiAlmNetwork(shape, build_backbone(self.choice), **self.sizes)

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        taken = taken_sequences(batch)
        parts = [self.network.with_alignment(part) for part in taken.x.split(self.sequences_at_once)]
        y, cosine = (torch.cat(values) for values in zip(*parts, strict=True))
        return taken.errors(y).mean() - self.alignment_weight * cosine.mean()  # (29)
