"""SC-LMKB's codec: learns from captions and from what a language model makes of them, filtered and fused."""

from __future__ import annotations

from typing import Literal

import pydantic
import torch

from linksim.blocks.semantic.base import Captions, Queries
from linksim.blocks.semantic.deepsc_mimo import JsccCodec
from linksim.blocks.semantic.learned import EncoderSizes, LearnedSemanticCodec, SentSymbols
from linksim.blocks.semantic.rules import networks
from linksim.core.registry import register
from linksim.core.types import Cosine, Fraction, PositiveFloat, PositiveInt
from linksim.mimo.stream_link import StreamLink
from linksim.retrieval.generation.captions import generated_captions

_NOT_FILTERED, _NONE_PASSED = -2, -1
_FILTERED_AT_ONCE = 128


class GeneratedCaptions(pydantic.BaseModel, frozen=True):
    """Which of them are learned from, and how.

    :param threshold: cosine similarity that a generated caption must have; -1 takes all.
    :param tries: generated captions that are tried, of those stored.
    :param fusion: "cross" as in the paper; "mean": both features count half, a control; "none": in every step a caption
        or its generated one is sent, at random, which is plain augmentation.
    :param fusion_temperature: of the softmax; small: the more important feature decides.
    :param hallucinated: share of generated captions that are replaced by another identity's, to see what the filter
        does with faults that are known.
    """

    threshold: Cosine = 0.7
    tries: PositiveInt = 3
    fusion: Literal["cross", "mean", "none"] = "cross"
    fusion_temperature: PositiveFloat = 0.2
    hallucinated: Fraction = 0.0


class LearnsFromGenerated(LearnedSemanticCodec):
    """Two stages of training: on the captions alone, then on them together with generated ones.

    Between them the hallucination filter compares what the codec's own encoder makes of each caption with what it makes
    of its generated ones, in their order, and takes the first that is near enough (Algorithm 1; after `tries` of them
    the original is kept).

    Source: "Semantic Communication with an LLM-enabled Knowledge Base", Sections III-B, IV-A and IV-C, eqs. (22)-(29),
    Algorithm 1.
    """

    num_stages = 2
    generates = True

    def learn_from(self, generated: GeneratedCaptions) -> None:
        """Set the options, for ``__init__``."""
        self.threshold, self.tries, self.hallucinated = generated.threshold, generated.tries, generated.hallucinated
        self.fusion, self.fusion_temperature = generated.fusion, generated.fusion_temperature
        self._generated: Captions | None = None

    def make(self) -> None:
        super().make()
        self.register_buffer("accepted", torch.full((len(self.data.train.captions),), _NOT_FILTERED))

    @property
    def num_kept_original(self) -> int:
        """Training captions none of whose generated ones passed the filter."""
        return int((self.accepted == _NONE_PASSED).sum())

    def begin_stage(self, stage: int) -> None:
        if stage and self.accepted.eq(_NOT_FILTERED).any():
            self._filter()

    @property
    def _candidates(self) -> Captions:
        """Generated captions, ``tries`` of each training caption in a row."""
        if self._generated is None:
            split = self.data.train
            made = generated_captions(self.data)
            rows = [made[text][:self.tries] for text in split.captions]
            rows = [row + [text] * (self.tries - len(row)) for row, text in zip(rows, split.captions)]
            if self.hallucinated:
                rows = _mixed_up(rows, split.caption_identities, self.hallucinated)
            self._generated = Captions([text for row in rows for text in row])
        return self._generated

    @torch.no_grad()
    def _filter(self) -> None:
        """Algorithm 1: the first generated caption of each that is similar enough, by number; or none."""
        training = self.training
        self.eval()
        total = len(self.data.train.captions)
        for first in range(0, total, _FILTERED_AT_ONCE):
            captions = torch.arange(first, min(first + _FILTERED_AT_ONCE, total))
            source = self.features(self.queries("train", captions)).flatten(1)
            numbers = (captions[:, None] * self.tries + torch.arange(self.tries)).flatten()
            made = self.features(self._candidates.queries(numbers, self.device)).flatten(1)
            similarity = torch.cosine_similarity(source[:, None], made.unflatten(0, (-1, self.tries)), dim=2)
            passed = similarity >= self.threshold
            chosen = torch.where(passed.any(1), passed.int().argmax(1), _NONE_PASSED)
            self.accepted[captions.to(self.device)] = chosen
        self.train(training)

    def embeddings_in_training(self, captions: torch.Tensor, items: torch.Tensor, relevant: torch.Tensor,
                               link: StreamLink) -> torch.Tensor:
        queries = self.queries("train", captions)
        accepted = self.accepted[captions.to(self.device)].cpu()
        has_other = (accepted >= 0).to(self.device)
        if not has_other.any():
            return self.from_features(self.features(queries), link)
        # those without one are their own: both features are the same, and so is what is made of them
        other = _joined(queries, self._candidates.queries(captions * self.tries + accepted.clamp_min(0), self.device),
                        has_other)
        source, made = self.features(queries), self.features(other)
        if self.fusion == "none":
            either = torch.rand(len(captions), 1, 1, device=self.device) < 0.5
            return self.from_features(torch.where(either, source, made), link)
        weight = self._importance(source, made, items, relevant, link) if self.fusion == "cross" else 0.5
        return self.from_features((1 - weight) * source + weight * made, link)

    def _importance(self, source: torch.Tensor, made: torch.Tensor, items: torch.Tensor, relevant: torch.Tensor,
                    link: StreamLink) -> torch.Tensor:
        """How much a source feature matters beside its generated one, eqs. (25)-(28): ``[caption, 1, 1]``, 0 to 1."""
        pooled = []
        for features in (source, made):
            leaf = features.detach().requires_grad_()
            loss = self.task_loss(self.from_features(leaf, link), items.detach(), relevant)
            gradient, = torch.autograd.grad(loss, leaf)
            pooled.append(gradient.abs().mean((1, 2)))
        share = torch.stack(pooled, 1)
        share = share / share.sum(1, keepdim=True).clamp_min(torch.finfo(share.dtype).tiny)
        return (share / self.fusion_temperature).softmax(1)[:, :1, None]


def _joined(first: Queries, second: Queries, take_second: torch.Tensor) -> Queries:
    """The second queries where they are wanted, the first elsewhere."""
    length = max(first.tokens.shape[1], second.tokens.shape[1])

    def longer(part: torch.Tensor) -> torch.Tensor:
        missing = length - part.shape[1]
        return torch.nn.functional.pad(part, (0, 0, 0, missing) if part.ndim == 3 else (0, missing))

    tokens = torch.where(take_second[:, None, None], longer(second.tokens), longer(first.tokens))
    mask = torch.where(take_second[:, None], longer(second.mask), longer(first.mask))
    texts = tuple(b if taken else a for a, b, taken in zip(first.texts, second.texts, take_second.tolist()))
    return Queries(texts, tokens, mask, torch.where(take_second[:, None], second.pooled, first.pooled))


def _mixed_up(rows: list[list[str]], identities: torch.Tensor, share: float) -> list[list[str]]:
    """Generated captions with a share of them replaced by those of other identities, the same ones always."""
    draw = torch.Generator().manual_seed(len(rows))
    wrong = torch.rand(len(rows), len(rows[0]), generator=draw) < share
    others = torch.randint(len(rows), wrong.shape, generator=draw)
    mixed = [list(row) for row in rows]
    for row, column in wrong.nonzero().tolist():
        other = int(others[row, column])
        while identities[other] == identities[row]:
            other = (other + 1) % len(rows)
        mixed[row][column] = rows[other][column]
    return mixed


@register("semantic", "sc_lmkb", trains=True, requires=networks)
class ScLmkb(LearnsFromGenerated, JsccCodec):
    """Joint source-channel coding with a language model as source knowledge base: SDG, filter and cross-domain fusion.

    The first stage of training knows the captions alone. Then the hallucination filter compares what the codec's own
    encoder makes of each caption with what it makes of its generated ones, in their order, and takes the first that is
    near enough (Algorithm 1; after `tries` of them the original is kept). In the second stage a caption and its
    generated one go over the link together: how much each matters for the task, by the gradient of the loss, weighs the
    other's features. What is used after training is the codec alone: the transmitter generates nothing.

    Source: "Semantic Communication with an LLM-enabled Knowledge Base", Sections III-B, IV-A and IV-C, eqs. (22)-(29),
    Algorithm 1. What the paper leaves open, and what is chosen here:

    | open | choice |
    |---|---|
    | similarity threshold | `threshold` |
    | how often the model is asked again | generated ones are stored with the data set, `tries` of each are tried |
    | when the filter is applied | once, by the encoder that the first stage has trained |
    | pooling of gradients (27) | mean of magnitudes over the features of a caption: signed ones cancel |
    | scale of the softmax (28) | of the two pooled gradients over their sum, by `fusion_temperature` |
    | fused features (29) | w' s + w s': each weighed by the other's importance |
    | captions without a generated one | are sent as they are |
    """

    def __init__(self, sizes: EncoderSizes = EncoderSizes(), symbols: SentSymbols = SentSymbols(),
                 generated: GeneratedCaptions = GeneratedCaptions()) -> None:
        super().__init__(sizes, symbols)
        self.learn_from(generated)
