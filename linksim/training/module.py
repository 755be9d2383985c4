"""A block as Lightning trains it: the loss of a step, the validation NMSE of each condition, the optimiser."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule

from linksim.errors import LinksimError, NumericalError
from linksim.scenario.training import Training
from linksim.seeding import stream_seed
from linksim.training.minibatches import Minibatch, ValidationBatch

_STEPS_BETWEEN_LOOKS = 20
"""On a GPU the loss is looked at after so many steps: each look waits for the device."""


class BlockModule(LightningModule):
    """Any block with ``training_loss(batch)``, ``validation_errors(batch)`` and ``saved_state()``.

    :param block: a `linksim.blocks.prediction.trained.LearnedPredictor`, say.
    :param name: of the method, for messages.
    :param training: complete; see `linksim.scenario.training.merged`.
    :param stage_steps: steps of every stage; the schedule begins anew with each.
    :param conditions: a short name for each.
    """

    strict_loading = False  # a frozen backbone is not in the state that is kept

    def __init__(self, block: Any, name: str, training: Training, stage_steps: list[int], conditions: list[str]
                 ) -> None:
        super().__init__()
        self.block = block
        self.method_name = name
        self.training_choice = training
        self.stage_steps = stage_steps
        self.num_steps = sum(stage_steps)
        self.condition_names = conditions
        self.nmse: float | None = None
        # no buffers: processes that share a training would be given the first one's
        self._sums = torch.zeros(len(conditions), 2, dtype=torch.float64)
        self._first_bad_step = torch.tensor(-1)

    def on_fit_start(self) -> None:
        self._sums, self._first_bad_step = (tensor.to(self.device) for tensor in (self._sums, self._first_bad_step))

    def training_step(self, minibatch: Minibatch) -> torch.Tensor:
        self._seed_step()
        loss = sum(len(part.history.h) / minibatch.num_drops * self.block.training_loss(part)
                   for part in minibatch.parts)
        bad = ~torch.isfinite(loss.detach()) & (self._first_bad_step < 0)
        self._first_bad_step.masked_fill_(bad, self.global_step)
        if loss.device.type == "cpu" or self.global_step % _STEPS_BETWEEN_LOOKS == 0:
            self.check_finite()
        self.log("training_loss", loss.detach(), batch_size=minibatch.num_drops)
        return loss

    def _seed_step(self) -> None:
        """Dropout depends on the step alone, so that a resumed training goes on as it would have."""
        seed = stream_seed(self.training_choice.weights_seed, "step", self.global_step, self.global_rank)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)

    def check_finite(self) -> None:
        """Whether every loss so far was a number.

        :raises NumericalError: the first one that was not.
        """
        step = int(self._first_bad_step)
        if step >= 0:
            self._not_finite("the training loss", step)

    def has_finite_weights(self) -> bool:
        return all(bool(p.isfinite().all()) for p in self.parameters() if p.requires_grad)

    def on_validation_epoch_start(self) -> None:
        self._sums.zero_()
        if self.trainer.world_size > 1:  # what is validated is what will be kept: the first process's
            for buffer in self.block.buffers():
                torch.distributed.broadcast(buffer, 0)

    def validation_step(self, item: ValidationBatch) -> None:
        errors = self.block.validation_errors(item.batch).double()
        self._sums[item.condition] += torch.stack([errors.sum(), torch.full_like(errors[0], len(errors))])

    def on_validation_epoch_end(self) -> None:
        sums = self.trainer.strategy.reduce(self._sums.clone(), reduce_op="sum")
        values = (sums[:, 0] / sums[:, 1]).tolist()
        self.nmse = sum(values) / len(values)  # every condition counts the same
        if not math.isfinite(self.nmse):
            self._not_finite("the validation NMSE", self.global_step - 1)
        self.log("validation_nmse_db", to_db(self.nmse))
        if len(values) > 1:
            self.log_dict({f"validation_nmse_db/{name}": to_db(value)
                           for name, value in zip(self.condition_names, values)})

    def _not_finite(self, what: str, step: int) -> None:
        each = self.trainer.num_training_batches
        raise NumericalError(f"method {self.method_name!r}: {what} is not finite in epoch {step // each + 1}, step "
                             f"{step % each + 1} of {each}")

    def configure_optimizers(self) -> dict[str, Any]:
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if not parameters:
            raise LinksimError(f"method {self.method_name!r}: its block has no parameter to train")
        training = self.training_choice
        optimizer = torch.optim.AdamW(parameters, training.learning_rate, weight_decay=training.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_at(*step_of_stage(step, self.stage_steps), training.schedule, training.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # drawn where it is needed

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"] = {f"block.{name}": tensor for name, tensor in self.block.saved_state().items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        expected = {f"block.{name}" for name in self.block.saved_state()}
        if expected != set(checkpoint["state_dict"]):
            raise ValueError("it holds other parameters than the block has")


def step_of_stage(step: int, stage_steps: list[int]) -> tuple[int, int]:
    """Number of a step within its stage, and the stage's steps."""
    for length in stage_steps[:-1]:
        if step < length:
            return step, length
        step -= length
    return step, stage_steps[-1]


def rate_at(step: int, num_steps: int, schedule: str, warmup: float) -> float:
    """Learning rate of a step, relative to the largest: a linear rise, then half a cosine down to zero."""
    if schedule == "constant":
        return 1.0
    rise = max(1, round(warmup * num_steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, num_steps - rise))))


def to_db(value: float) -> float:
    return 10 * math.log10(value) if value > 0 else -math.inf
