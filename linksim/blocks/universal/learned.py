"""What a block that learns tasks by gradient descent adds: views and truth of training drops."""

from __future__ import annotations

from abc import abstractmethod

import torch

from linksim.blocks.prediction.trained import TrainingBatch
from linksim.blocks.universal.base import Truth, UniversalBlock, View, truth_of, views_of


class LearnedUniversalBlock(UniversalBlock):
    """Trained in the shared trainer, `linksim.training.trainer`; it never writes its own loop."""

    antenna_pairs: int = 0
    """Set by the trainer; arrays are always seen whole."""

    def saved_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds: all but a frozen language model."""
        frozen = {name for name, parameter in self.named_parameters()
                  if not parameter.requires_grad and name.startswith("backbone.")}
        return {name: tensor for name, tensor in self.state_dict().items() if name not in frozen}

    @abstractmethod
    def loss(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        """What is minimised on a batch of terminals."""

    @abstractmethod
    def errors(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        """What chooses the best epoch, of every terminal, ``[sample]``."""

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        return self.loss(views_of(batch.history, batch.places), truth_of(batch.future, batch.places))

    def validation_errors(self, batch: TrainingBatch) -> torch.Tensor:
        errors = self.errors(views_of(batch.history, batch.places), truth_of(batch.future, batch.places))
        return errors.unflatten(0, batch.places.gain_db.shape).mean(1)
