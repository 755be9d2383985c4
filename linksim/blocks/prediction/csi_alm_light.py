"""CSI-ALM-Light: a small transformer that may be taught by CSI-ALM.

| | parameters | published (Table I) | published latency (RTX A6000) |
|---|---|---|---|
| csi_alm_light | 349,380 | 0.349 M | 2.41 ms |

Source: Li et al., "Bridging the Modality Gap ..." (see `csi_alm`), Section IV and eq. (32). Width 128, 3 layers and a
soft prompt of 4 are the paper's; a feed-forward width of 112 makes its number of parameters. Open, and chosen here: a
token is a patch of samples, as the teacher's is (relations need the same tokens), 4 attention heads, 16 relation heads,
normalisation before each part of a layer, attention to all tokens, learned positions in the embedding (without any,
layers cannot tell the order of patches), a projection of features and then of patches to steps, lambda_2 = 0.1.

Distillation by attention relations, how tokens relate whatever the widths and heads of teacher and student, is eqs.
(22) to (25), after W. Wang et al., "MiniLMv2: Multi-Head Self-Attention Relation Distillation for Compressing
Pretrained Transformers", 2021.
"""

from __future__ import annotations

import torch

from linksim.backbone import Backbone
from linksim.blocks.prediction.csi_alm import CsiAlmPredictor
from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch
from linksim.blocks.prediction.rules import csi_alm_light_sizes
from linksim.blocks.prediction.sequences import SequencePredictor, taken_sequences
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import NonNegativeFloat, PositiveInt


def log_relations(vectors: torch.Tensor, num_relation_heads: int) -> torch.Tensor:
    """Logarithm of the self-relation of queries, keys or values: (22), (23) with x = y.

    :param vectors: ``[batch, token, width]``, all heads side by side.
    :param num_relation_heads: heads that the width is split into anew.
    :returns: ``[batch, head, token, token]``; exponentials of a row sum to one.
    :raises ScenarioError: the width does not divide into that many heads.
    """
    width = vectors.shape[-1]
    if width % num_relation_heads:
        raise ScenarioError(f"attention relations: a width of {width} does not divide into {num_relation_heads} heads")
    heads = vectors.unflatten(-1, (num_relation_heads, -1)).transpose(1, 2)
    return (heads @ heads.mT / heads.shape[-1] ** 0.5).log_softmax(-1)


def relation_loss(teacher: tuple[torch.Tensor, ...], student: tuple[torch.Tensor, ...], num_relation_heads: int
                  ) -> torch.Tensor:
    """Sum over query-query, key-key and value-value relations of the divergence from the teacher's: (24), (25).

    :param teacher: queries, keys and values of the last layer, ``[batch, token, width]`` each; the student's may be of
        another width, but are of as many tokens.
    :returns: mean over batch, relation heads and tokens of KL(teacher || student), summed over the three.
    """
    loss = torch.zeros((), device=student[0].device)
    for of_teacher, of_student in zip(teacher, student, strict=True):
        target, found = (log_relations(part.float(), num_relation_heads) for part in (of_teacher, of_student))
        loss = loss + (target.exp() * (target - found)).sum(-1).mean()
    return loss


def check_relations(name: str, backbone: Backbone, taught_prompts: int, num_prompts: int, width: int,
                    num_relation_heads: int) -> None:
    """Whether a student can have a teacher's attention relations.

    :param name: of the student's block, for messages.
    :param backbone: the teacher's.
    :raises ScenarioError: it cannot.
    """
    if backbone.body is None:
        raise ScenarioError(f"{name}: its teacher has body 'none', so no attention to learn from")
    if taught_prompts != num_prompts:
        raise ScenarioError(f"{name}: {num_prompts} prompts, but its teacher has {taught_prompts}; attention relations "
                            "need as many tokens: set num_prompts")
    for each in (width, backbone.width):
        if each % num_relation_heads:
            raise ScenarioError(f"{name}: num_relation_heads {num_relation_heads} does not divide the widths of "
                                f"student and teacher, {width} and {backbone.width}")


Attended = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Queries, keys and values of a layer, ``[sequence, token, width]`` each, all heads side by side."""


class Layer(torch.nn.Module):
    """A transformer layer that shows what its attention works on."""

    def __init__(self, width: int, feedforward_width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm, self.feedforward_norm = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.attended = torch.nn.Linear(width, 3 * width)
        self.joined = torch.nn.Linear(width, width)
        self.feedforward = torch.nn.Sequential(torch.nn.Linear(width, feedforward_width), torch.nn.GELU(),
                                               torch.nn.Linear(feedforward_width, width))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Attended]:
        """``[sequence, token, width]`` to the same shape."""
        attended = self.attended(self.attention_norm(x)).chunk(3, -1)
        # of 20 tokens, plain matrix products take a third of the time of torch's fused attention on a CPU
        query, key, value = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2).flatten(0, 1)
                             for part in attended)
        mixed = (query @ key.mT * key.shape[-1] ** -0.5).softmax(-1) @ value
        x = x + self.joined(mixed.unflatten(0, (len(x), -1)).transpose(1, 2).flatten(2))
        return x + self.feedforward(self.feedforward_norm(x)), attended


class CsiAlmLightNetwork(torch.nn.Module):
    """Fig. 6: embedding (26), soft prompts and layers (27), projection (28)."""

    def __init__(self, shape: ProblemShape, patch_size: int, width: int, feedforward_width: int, num_layers: int,
                 num_heads: int, num_prompts: int) -> None:
        super().__init__()
        features = 2 * shape.num_subcarriers
        num_patches = -(-shape.num_history // patch_size)
        self.padding, self.patch_size = num_patches * patch_size - shape.num_history, patch_size
        self.embedding = torch.nn.Linear(features * patch_size, width)
        self.positions = torch.nn.Parameter(0.02 * torch.randn(num_patches, width))
        self.prompts = torch.nn.Parameter(0.02 * torch.randn(num_prompts, width))
        self.layers = torch.nn.ModuleList(Layer(width, feedforward_width, num_heads) for _ in range(num_layers))
        self.norm = torch.nn.LayerNorm(width)
        self.output_features = torch.nn.Linear(width, features)
        self.output_times = torch.nn.Linear(num_patches, shape.num_future)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Soft prompts and patches, ``[sequence, prompt and patch, width]``."""
        padded = torch.nn.functional.pad(x, (0, 0, 0, self.padding))
        patches = padded.unflatten(1, (-1, self.patch_size)).transpose(2, 3).flatten(2)
        return torch.cat([self.prompts.expand(len(x), -1, -1), self.embedding(patches) + self.positions], 1)

    def with_attention(self, x: torch.Tensor) -> tuple[torch.Tensor, Attended]:
        """The prediction, and what the last layer's attention works on."""
        tokens = self.tokens(x)
        for layer in self.layers:
            tokens, attended = layer(tokens)
        hidden = self.norm(tokens)[:, len(self.prompts):]
        return self.output_times(self.output_features(hidden).mT).mT, attended

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, num_history, 2 * subcarrier]`` to ``[sequence, num_future, 2 * subcarrier]``."""
        return self.with_attention(x)[0]


@register("predictor", "csi_alm_light", trains=True, requires=csi_alm_light_sizes)
class CsiAlmLightPredictor(SequencePredictor):
    """CSI-ALM-Light: three small transformer layers with soft prompts, 0.35 M parameters, alone or taught by CSI-ALM.

    :param patch_size: samples of a patch; as many as the teacher's.
    :param width: of the tokens.
    :param feedforward_width: inside a layer.
    :param num_layers: transformer layers.
    :param num_heads: attention heads.
    :param num_prompts: soft prompts.
    :param num_relation_heads: heads of the relations (22), (23) that a teacher passes on.
    :param distillation_weight: lambda_2 of the loss (32).
    """

    version = 3  # 2 had one token a sample, and fixed positions
    sequences_in_cache = 64

    def __init__(self, patch_size: PositiveInt = 4, width: PositiveInt = 128, feedforward_width: PositiveInt = 112,
                 num_layers: PositiveInt = 3, num_heads: PositiveInt = 4, num_prompts: PositiveInt = 4,
                 num_relation_heads: PositiveInt = 16, distillation_weight: NonNegativeFloat = 0.1) -> None:
        super().__init__()
        if width % num_heads:
            raise ScenarioError(f"csi_alm_light: width {width} is no multiple of num_heads {num_heads}")
        self.sizes = {"patch_size": patch_size, "width": width, "feedforward_width": feedforward_width,
                      "num_layers": num_layers, "num_heads": num_heads, "num_prompts": num_prompts}
        self.num_relation_heads = num_relation_heads
        self.distillation_weight = distillation_weight
        self._teacher: list[CsiAlmPredictor] = []  # a list hides it from the parameters that are trained and saved

    def make_network(self, shape: ProblemShape) -> CsiAlmLightNetwork:
        return CsiAlmLightNetwork(shape, **self.sizes)

    def learn_from(self, teacher: CsiAlmPredictor) -> None:
        """Train towards a trained teacher's attention relations as well; it is frozen.

        :raises ScenarioError: a block whose attention relations a student of these options cannot have.
        """
        if not isinstance(teacher, CsiAlmPredictor):
            raise ScenarioError(f"csi_alm_light learns from csi_alm alone (training.teacher is a {teacher.block_name})")
        network = teacher.network
        if network.patch_size != self.sizes["patch_size"]:
            raise ScenarioError("csi_alm_light: its teacher has other tokens: make patch_size equal")
        check_relations("csi_alm_light", network.backbone, network.text.num_prompts, self.sizes["num_prompts"],
                        self.sizes["width"], self.num_relation_heads)
        self._teacher = [teacher.eval().requires_grad_(False)]

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        taken = taken_sequences(batch)
        y, attended = self.network.with_attention(taken.x)
        loss = taken.errors(y).mean()
        if self._teacher:
            network = self._teacher[0].network
            with torch.no_grad():
                taught = network.backbone.forward_with_attention(network.tokens(taken.x)[0])[1]
            loss = loss + self.distillation_weight * relation_loss(taught, attended, self.num_relation_heads)  # (32)
        return loss
