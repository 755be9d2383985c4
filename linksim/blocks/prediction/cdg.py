"""CDG, the channel data generation of SC-LMKB: patches of CSI become words, and a frozen language model goes on.

| | trained | all |
|---|---|---|
| cdg with smollm2 | 2,165,888 | 51.72 M |

Source: "Semantic Communication with an LLM-enabled Knowledge Base" (SC-LMKB), Sections III-B 2 and IV-B; equation
numbers are the paper's.

What the paper leaves open, and what is chosen here:

| open | choice |
|---|---|
| what a sequence is | one antenna pair on all subcarriers, real parts first, as in other predictors |
| normalisation by mean and deviation | each user's own root mean square, see `to_sequences` |
| patches | 4 samples, every 2; the newest sample ends the last one, the oldest is repeated to fill the first |
| CSI embedding module | one linear map of a patch |
| W (17), V' x V, 12.6 M weights for SmolLM2 | a trained V' x d map of the d principal words, which are fixed: \
whatever V is, W E is V' vectors as wide as the model, and the principal words span most of those; it begins with V' \
of the dictionary's own words, evenly spaced; all compressed ones are scaled to unit mean square |
| V', d, heads | 256, 100, 8 |
| a path around the cross-attention (18) | there is one, as around every attention of a transformer; without it \
(``residual: false``, as printed) amplitudes have to pass through softmax weights |
| size of what the language model reads | that of its word embeddings |
| which step a distribution (20) is of | each patch's is of the next patch, as in next-token prediction |
| predicted embeddings of (21) | compressed words, less their mean, weighed by their probabilities, "tokens into CSI"; \
times the root of V', or nearly even weights would leave almost nothing; "hidden" takes (19) instead |
| (21), from as many embeddings as patches to L steps | each gives the L samples after its patch, by one linear map; \
those after the last patch are the prediction |
| NMSE (31) | of the prediction, plus ``every_patch_weight`` times that of the samples after every patch, which within \
the history are the noisy ones |
| FDD, where the history is of another band | (30) and the samples after every patch are of its own; a second linear \
map takes the last embedding's to the band asked for; zero at first, and there in TDD as well |
| ground-truth tokens of (30) | the compressed word nearest in cosine to the embedding of the true next patch; no \
gradient passes through this choice |
| gamma (32) | 100, written as the weight 0.01 of (30) beside (31), so that (30) can be left out |
"""

from __future__ import annotations

from typing import Literal

import torch

from linksim.backbone import Backbone, BackboneChoice, LanguageModelAndWords, build_backbone
from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch
from linksim.blocks.prediction.rules import cdg_sizes
from linksim.blocks.prediction.sequences import SequencePredictor, taken_sequences
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import NonNegativeFloat, PositiveInt


class WordAttention(torch.nn.Module):
    """Every patch as a mixture of words, in each head another: (18).

    :param width: of the language model.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value = (torch.nn.Linear(width, width, bias=False) for _ in range(3))
        self.joined = torch.nn.Linear(width, width)
        for part in (self.query, self.key, self.value, self.joined):
            torch.nn.init.xavier_uniform_(part.weight)

    def forward(self, patches: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """``[sequence, patch, width]`` and ``[word, width]`` to ``[sequence, patch, width]``."""
        query, key, value = (linear(x).unflatten(-1, (self.num_heads, -1)).transpose(-2, -3) for linear, x in
                             [(self.query, patches), (self.key, words), (self.value, words)])
        mixed = (query @ key.mT * key.shape[-1] ** -0.5).softmax(-1) @ value  # [sequence, head, patch, …]
        return self.joined(mixed.transpose(1, 2).flatten(2))


class CdgNetwork(torch.nn.Module):
    """Patches, embedding, cross-attention, language model, vocabulary head and CSI head.

    :param backbone: the language model.
    :param num_words: principal words under the compressed ones, d.
    :param num_tokens: compressed words, V'.
    :param predicted: what the CSI head reads.
    :param residual: a path around the cross-attention.
    """

    def __init__(self, shape: ProblemShape, backbone: Backbone, patch_size: int, stride: int, num_words: int,
                 num_tokens: int, num_heads: int, predicted: str, residual: bool) -> None:
        super().__init__()
        if backbone.width % num_heads:
            raise ScenarioError(f"cdg: the language model's width {backbone.width} is no multiple of num_heads "
                                f"{num_heads}")
        if num_tokens > len(backbone.words):
            raise ScenarioError(f"cdg: num_tokens {num_tokens}, but the language model has {len(backbone.words)} words")
        if stride > shape.num_future:
            raise ScenarioError(f"cdg: stride {stride} of patches, but the patch after the history is of at most "
                                f"{shape.num_future} steps, which are predicted")
        features, width = 2 * shape.num_subcarriers, backbone.width
        self.patch_size, self.stride = patch_size, stride
        self.predicted, self.residual = predicted, residual
        # samples put before the history, so that its last one ends a patch
        self.missing = max(patch_size - shape.num_history, (patch_size - shape.num_history) % stride)
        self.num_future = shape.num_future
        self.embedding = torch.nn.Linear(patch_size * features, width)
        self.register_buffer("words", backbone.principal_words(num_words))
        self.compress = torch.nn.Linear(num_words, num_tokens, bias=False)  # W (17)
        with torch.no_grad():
            chosen = backbone.word_embeddings()[torch.linspace(0, len(backbone.words) - 1, num_tokens).long()]
            # principal words are orthogonal: coordinates are projections
            self.compress.weight.copy_(chosen.float() @ self.words.mT / self.words.square().sum(-1))
        self.align = WordAttention(width, num_heads)
        self.backbone = backbone
        self.vocabulary = torch.nn.Linear(width, num_tokens)
        torch.nn.init.xavier_uniform_(self.vocabulary.weight)
        self.output, self.to_target = (torch.nn.Linear(width, shape.num_future * features) for _ in range(2))
        torch.nn.init.zeros_(self.to_target.weight)
        torch.nn.init.zeros_(self.to_target.bias)

    def compressed_words(self) -> torch.Tensor:
        """``[num_tokens, width]`` (17), of unit mean square."""
        return torch.nn.functional.rms_norm(self.compress(self.words.mT).mT, self.words.shape[-1:])

    def patches(self, x: torch.Tensor) -> torch.Tensor:
        """Overlapping windows of time.

        :param x: ``[sequence, time, feature]``, from the history's first sample on.
        :returns: ``[sequence, patch, patch_size * feature]``.
        """
        return self._filled(x).unfold(1, self.patch_size, self.stride).mT.flatten(2)

    def after_each(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What follows each patch, given it and those before it.

        :param x: ``[sequence, num_history, 2 * subcarrier]``.
        :returns: the prediction, ``[sequence, num_future, 2 * subcarrier]``; the ``num_future`` samples after each
            patch in the band of ``x``, ``[sequence, patch, num_future, 2 * subcarrier]``; and what the softmax over
            the vocabulary (20) is taken of for the next patch, ``[sequence, patch, num_tokens]``.
        """
        words, embedded = self.compressed_words(), self.embedding(self.patches(x))
        aligned = self.align(embedded, words)
        if self.residual:
            aligned = aligned + embedded
        hidden = self.backbone(self.backbone.embedding_std * aligned)  # (19)
        logits = self.vocabulary(hidden)
        read = hidden if self.predicted == "hidden" else logits.softmax(-1) @ (words - words.mean(0)) * len(words)**0.5
        following = self.output(read).unflatten(-1, (self.num_future, -1))  # (21)
        return following[:, -1] + self.to_target(read[:, -1]).view_as(following[:, -1]), following, logits

    @torch.no_grad()
    def next_tokens(self, x: torch.Tensor, future: torch.Tensor) -> torch.Tensor:
        """The compressed word nearest to each next patch, by the cosine of its embedding: the ground truth of (30).

        :param future: the true continuation of ``x``, ``[sequence, num_future, 2 * subcarrier]``.
        :returns: ``[sequence, patch]``, indices of words.
        """
        unit = torch.nn.functional.normalize
        following = self.patches(torch.cat([x, future[:, :self.stride]], 1))[:, 1:]
        return (unit(self.embedding(following), dim=-1) @ unit(self.compressed_words(), dim=-1).mT).argmax(-1)

    def next_samples(self, x: torch.Tensor, future: torch.Tensor) -> torch.Tensor:
        """The ``num_future`` samples that follow each patch.

        :param future: the true continuation of ``x``, ``[sequence, num_future, 2 * subcarrier]``.
        :returns: ``[sequence, patch, num_future, 2 * subcarrier]``.
        """
        text = self._filled(torch.cat([x, future], 1))[:, self.patch_size:]
        return text.unfold(1, self.num_future, self.stride).mT

    def _filled(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :1].expand(-1, self.missing, -1), x], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, num_history, 2 * subcarrier]`` to ``[sequence, num_future, 2 * subcarrier]``."""
        return self.after_each(x)[0]


@register("predictor", "cdg", trains=True, requires=cdg_sizes)
class CdgPredictor(SequencePredictor):
    """CDG of SC-LMKB: a frozen language model goes on with patches of CSI that are aligned with its words.

    As it is frozen it can still generate text.

    :param patch_size: samples of a patch.
    :param stride: samples from one patch to the next, at most those predicted.
    :param num_words: principal words, out of which the compressed ones are made.
    :param num_tokens: compressed words, V': the vocabulary.
    :param num_heads: of the cross-attention.
    :param residual: whether patches also go around the cross-attention.
    :param predicted: what the CSI head reads: "soft_token", the words weighed by their predicted probabilities; or
        "hidden", the language model's hidden state.
    :param every_patch_weight: of the error of what follows every patch, in the history's band, beside that of the
        future in the loss; 0 leaves it out.
    :param cross_entropy_weight: of (30) in the loss beside the NMSE (31), which is 1 / gamma of (32); 0 leaves it out.
    """

    sequences_at_once = 512

    def __init__(self, language_model: LanguageModelAndWords = BackboneChoice(adaptation="frozen"),
                 patch_size: PositiveInt = 4, stride: PositiveInt = 2, num_words: PositiveInt = 100,
                 num_tokens: PositiveInt = 256, num_heads: PositiveInt = 8, residual: bool = True,
                 predicted: Literal["soft_token", "hidden"] = "soft_token",
                 every_patch_weight: NonNegativeFloat = 1.0,
                 cross_entropy_weight: NonNegativeFloat = 0.01) -> None:
        super().__init__()
        self.choice = language_model
        self.sizes = {"patch_size": patch_size, "stride": stride, "num_words": num_words, "num_tokens": num_tokens,
                      "num_heads": num_heads, "predicted": predicted, "residual": residual}
        self.every_patch_weight = every_patch_weight
        self.cross_entropy_weight = cross_entropy_weight

    def make_network(self, shape: ProblemShape) -> CdgNetwork:
        return CdgNetwork(shape, build_backbone(self.choice), **self.sizes)

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        taken = taken_sequences(batch)
        parts = [self.network.after_each(part) for part in self.parts(taken.x)]
        y, following, logits = (torch.cat(values) for values in zip(*parts, strict=True))
        loss, future = taken.errors(y).mean(), taken.of(batch.uplink_future)  # (31)
        if self.every_patch_weight:
            # normalised samples have unit power in a real and an imaginary part each
            error = 2 * (following.float() - self.network.next_samples(taken.x, future)).square().mean()
            loss = loss + self.every_patch_weight * error
        if self.cross_entropy_weight:
            entropy = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(),
                                                        self.network.next_tokens(taken.x, future).flatten())
            loss = loss + self.cross_entropy_weight * entropy  # (30), (32)
        return loss
