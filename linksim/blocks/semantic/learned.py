"""What a semantic codec trained by gradient descent adds: the contrastive task loss, and a link to be trained over."""

from __future__ import annotations

from abc import abstractmethod

import pydantic
import torch

from linksim.blocks.prediction.learned import TrainingBatch
from linksim.blocks.semantic.base import SemanticCodec, SemanticShape, relevance
from linksim.blocks.semantic.encoders import ItemEncoder
from linksim.core import registry
from linksim.core.csi import by_resource
from linksim.core.types import Decibel, PositiveInt
from linksim.metrics.retrieval import retrieval_measures
from linksim.mimo.noise import complex_normal, noise_variance_at
from linksim.mimo.stream_link import StreamLink, caption_elements, stream_link
from linksim.retrieval.data import RetrievalSet, Split

CAPTIONS_PER_DROP = 8
"""Captions sent over every training drop; those of all drops of a step are each other's negatives."""

_FIRST_TEMPERATURE = 0.07
_CSI_ERROR_DB = (-30.0, 0.0)
_NUM_PILOTS = 8


class EncoderSizes(pydantic.BaseModel, frozen=True):
    """Sizes of the networks of caption and gallery.

    :param width: of features.
    :param embedding: entries of what is compared with the gallery.
    :param num_heads: of attention.
    :param num_layers: transformer layers, at either end of a link where both have some.
    """

    width: PositiveInt = 128
    embedding: PositiveInt = 256
    num_heads: PositiveInt = 8
    num_layers: PositiveInt = 2


class SentSymbols(pydantic.BaseModel, frozen=True):
    """What carries features, and the links that this is learned for.

    :param symbols_per_slot: complex symbols that carry one feature vector.
    :param snr_low_db: link SNR in training, drawn evenly up to `snr_high_db`, dB.
    :param snr_high_db: see `snr_low_db`.
    """

    symbols_per_slot: PositiveInt = 8
    snr_low_db: Decibel = -20.0
    snr_high_db: Decibel = 20.0


class LearnedSemanticCodec(SemanticCodec):
    """Trained in the shared trainer, `linksim.training.trainer`, by symmetric cross-entropy between captions and items.

    Every training drop has a link SNR drawn evenly between `snr_low_db` and `snr_high_db`, and a transmitter that knows
    the channel or, as often, sees it with an error drawn evenly in dB: so one codec serves transmitters whose CSI is
    perfect, old, fed back or predicted, and these differ in nothing but their CSI. Precoding is SVD with equal power.
    """

    num_stages: int = 1

    def __init__(self, sizes: EncoderSizes, symbols: SentSymbols) -> None:
        super().__init__()
        self.width, self.embedding = sizes.width, sizes.embedding
        self.num_heads, self.num_layers = sizes.num_heads, sizes.num_layers
        self.symbols_per_slot = symbols.symbols_per_slot
        self.snr_db = (symbols.snr_low_db, symbols.snr_high_db)

    def begin_stage(self, stage: int) -> None:
        """Training goes on in another stage, 0 being the first."""

    def prepare(self, shape: SemanticShape, data: RetrievalSet) -> None:
        super().prepare(shape, data)
        frames = data.train.features.flatten(0, 1)
        self.items = ItemEncoder(data.train.features.shape[1], frames.mean(0), frames.std(0), self.width,
                                 self.embedding)
        self.log_temperature = torch.nn.Parameter(torch.tensor(_FIRST_TEMPERATURE).log())
        self._precoder = registry.create("precoder", "svd", {"power": "equal"})
        self.make()

    @abstractmethod
    def make(self) -> None:
        """Make the networks that carry captions, untrained."""

    @abstractmethod
    def embeddings_in_training(self, captions: torch.Tensor, items: torch.Tensor, relevant: torch.Tensor,
                               link: StreamLink) -> torch.Tensor:
        """What the receiver makes of training captions sent over a link, differentiable, ``[caption, embedding]``.

        :param captions: their numbers, ``[caption]`` int64 on the CPU.
        :param items: embeddings of as many items.
        :param relevant: which of them each caption asks for, ``[caption, item]``.
        """

    def gallery(self, features: torch.Tensor) -> torch.Tensor:
        return self.items(features)

    def saved_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds."""
        return self.state_dict()

    def task_loss(self, captions: torch.Tensor, items: torch.Tensor, relevant: torch.Tensor) -> torch.Tensor:
        """Symmetric cross-entropy; items of the same identity share the target.

        :param captions: embeddings ``[caption, embedding]``; ``items`` likewise.
        :param relevant: ``[caption, item]`` bool.

        Source: A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
        Fig. 3; several positives as in P. Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. (2).
        """
        scores = captions @ items.mT / self.log_temperature.exp()
        target = relevant.to(scores.dtype)
        to_items = -(target / target.sum(1, keepdim=True) * scores.log_softmax(1)).sum(1).mean()
        to_captions = -(target / target.sum(0, keepdim=True) * scores.log_softmax(0)).sum(0).mean()
        return (to_items + to_captions) / 2

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        """The task loss of captions drawn at random, one item of each one's identity beside it."""
        split = self.data.train
        link = self._training_link(batch, None)
        captions = torch.randint(len(split.captions), (len(link.noise_variance),))
        items = items_of(split, captions)
        relevant = split.caption_identities[captions][:, None] == split.item_identities[items]
        embedded = self.gallery(split.features[items].to(self.device))
        received = self.embeddings_in_training(captions, embedded, relevant.to(self.device), link)
        return self.task_loss(received, embedded, relevant.to(self.device))

    def validation_errors(self, batch: TrainingBatch) -> torch.Tensor:
        """One less the mean average precision of captions of the validation split, each drop's mean, ``[batch]``."""
        split = self.data.validation
        steady = torch.Generator().manual_seed(len(split.captions))
        link = self._training_link(batch, steady)
        captions = torch.randint(len(split.captions), (len(link.noise_variance),), generator=steady)
        scores = self.from_features(self.features(self.queries("validation", captions)), link) @ self.gallery(
            split.features.to(self.device)).mT
        precision = retrieval_measures(scores.float(), relevance(split, captions).to(self.device))["map"]
        return 1 - precision.unflatten(0, (len(batch.future.h), -1)).mean(1)

    def _training_link(self, batch: TrainingBatch, steady: torch.Generator | None) -> StreamLink:
        """A link over random resource elements of training drops.

        :param steady: draws all that is random; the global generator does where it is None.
        """
        seed = int(torch.randint(2**62, (1,), generator=steady))
        draw = torch.Generator().manual_seed(seed)
        resources = by_resource(batch.future.h).flatten(1, 2)[..., 0, :, :]
        num_drops, count = len(resources), self.shape.channel_uses // self.shape.num_streams
        picked = torch.rand(num_drops, resources.shape[1], generator=draw).argsort(1)[:, :count].to(resources.device)
        true = resources[torch.arange(num_drops, device=resources.device)[:, None], picked]
        low, high = self.snr_db
        noise_variance = noise_variance_at(low + (high - low) * torch.rand(num_drops, generator=draw))
        error = 10 ** (torch.empty(num_drops).uniform_(*_CSI_ERROR_DB, generator=draw) / 10)
        error = torch.where(torch.rand(num_drops, generator=draw) < 0.5, error, 0.0)[:, None, None, None]
        noise = complex_normal(true.shape, draw)
        error, noise, noise_variance = (part.to(true.device) for part in (error, noise, noise_variance))
        power = true.abs().square().mean((1, 2, 3), keepdim=True)
        h_hat = (1 - error).sqrt() * true + (error * power).sqrt() * noise
        with torch.no_grad():
            # the precoder takes one noise variance; with equal power it does not depend on it
            weights = self._precoder.precode(h_hat.unsqueeze(-3), 1.0, self.shape.num_streams)
            elements = caption_elements(true.shape[1], CAPTIONS_PER_DROP, count).to(true.device)
            return stream_link(true, h_hat, weights, noise_variance, elements.expand(num_drops, -1, -1), _NUM_PILOTS,
                               draw)


def items_of(split: Split, captions: torch.Tensor) -> torch.Tensor:
    """A random item of each caption's identity, ``[caption]``."""
    relevant = relevance(split, captions)
    return torch.multinomial(relevant.float(), 1).squeeze(1)
