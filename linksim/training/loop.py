"""The training loop of every block that learns by gradient descent.

An epoch is steps (loss, gradients, clipping, AdamW) and a validation. The best weights by validation stay in memory;
what is needed to go on after a kill is written from time to time. Fabric does what depends on the machine: device,
precision, and gradients averaged over processes that share every step.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from linksim.blocks.parameters import matched
from linksim.core.errors import LinksimError, NumericalError, StoreError
from linksim.core.seeding import stream_seed
from linksim.scenario.training import WholeTraining
from linksim.training.averaging import WeightAverage
from linksim.training.checkpoint import LEARNING_CURVE, written_whole
from linksim.training.conditions import condition_names
from linksim.training.minibatches import Minibatch, Minibatches
from linksim.training.progress import CurvePoint, EventLog, TrainingProgress, to_db, write_curve
from linksim.training.schedule import Schedule

SAVE_EPOCHS_EVERY_S = 10.0
"""State is kept at the end of an epoch, but not more often than this."""

SAVE_STEPS_EVERY_S = 300.0
"""State is kept within an epoch where the last one is as old as this."""

_STEPS_BETWEEN_CLOCKS = 8
"""Several processes agree on the time after so many steps."""

_STEPS_BETWEEN_LOOKS = 20
"""On a GPU the loss is looked at after so many steps: each look waits for the device."""

_STEPS_BETWEEN_LOGS = 10

_STATE = {"step": int, "used_s": float, "cpu_s": float, "block": dict, "average": dict, "moments": dict,
          "precision": dict, "selection": dict, "curve": list}
"""What a state holds; learning rates and dropout depend on the step alone, drops and their noise on seeds."""


@dataclass
class Selection:
    """The best epoch of a stage by validation.

    :param nmse: linear, mean over conditions.
    :param epoch: its number, counted over the whole training.
    :param waited: epochs since then.
    :param stage: that it is of.
    :param weights: as the block's ``saved_state()``, on the CPU.
    """

    nmse: float = math.inf
    epoch: int = -1
    waited: int = 0
    stage: int = 0
    weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def consider(self, nmse: float, epoch: int, block: Any) -> None:
        """Keep an epoch's weights if none before was as good."""
        if nmse < self.nmse:
            self.nmse, self.epoch, self.waited = nmse, epoch, 0
            self.weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in block.saved_state().items()}
        else:
            self.waited += 1

    def begin(self, stage: int) -> None:
        """Forget what another stage's losses were like; its best weights start this one."""
        self.nmse, self.waited, self.stage = math.inf, 0, stage

    def is_over(self, patience: int, last_stage: int) -> bool:
        """Whether to stop early, 0: never. How long the stages before the last one take is part of the schedule."""
        return self.stage == last_stage and 0 < patience <= self.waited


def make_optimizer(parameters: list[torch.nn.Parameter], training: WholeTraining) -> torch.optim.AdamW:
    """AdamW; on a CPU in one pass over memory, three to four times as fast as torch's default there."""
    # on a GPU Fabric cannot clip what such an optimiser unscales: there torch chooses
    fused = all(parameter.device.type == "cpu" and parameter.is_floating_point() for parameter in parameters) or None
    return torch.optim.AdamW(parameters, training.learning_rate, weight_decay=training.weight_decay, fused=fused)


class _Loss(torch.nn.Module):
    """The loss of a step: the call that Fabric runs in the chosen precision and averages the gradients of.

    :param compiled: see ``training.compile``.
    """

    def __init__(self, block: Any, compiled: bool) -> None:
        super().__init__()
        self.block = block
        # for every size anew: an epoch has one for all steps but the last
        self.training_loss = torch.compile(block.training_loss, dynamic=False) if compiled else block.training_loss

    def forward(self, minibatch: Minibatch) -> torch.Tensor:
        """:raises LinksimError: it cannot be compiled."""
        try:
            return sum(len(part.history.h) / minibatch.num_drops * self.training_loss(part)
                       for part in minibatch.parts)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise LinksimError(f"training.compile: {str(error).strip().splitlines()[0]}; leave it out") from None


class TrainingLoop:
    """The training of one block, from its first step or from the state that was kept.

    :param fabric: launched.
    :param block: with ``training_loss(batch)``, ``validation_errors(batch)`` and ``saved_state()``, and with several
        ``num_stages`` ``begin_stage(number)``; in training mode, on Fabric's device.
    :param name: of the method, for messages.
    :param minibatches: of this process.
    :param num_epochs: at the most.
    :param folder: of the checkpoint: the learning curve is written there, and the state kept within.
    :raises LinksimError: nothing to train.
    :raises StoreError: the state cannot be read.
    :ivar step: number of steps made.
    :ivar selection: the best so far.
    :ivar curve: all validations so far.
    """

    def __init__(self, fabric: Fabric, block: Any, name: str, minibatches: Minibatches, num_epochs: int, folder: Path
                 ) -> None:
        training = minibatches.drops.training
        parameters = [parameter for parameter in block.parameters() if parameter.requires_grad]
        if not parameters:
            raise LinksimError(f"method {name!r}: its block has no parameter to train")
        self.loss, self.optimizer = fabric.setup(_Loss(block, training.compile), make_optimizer(parameters, training))
        self.fabric, self.block, self.name, self.training, self.minibatches = fabric, block, name, training, minibatches
        self.schedule = Schedule(training, num_epochs, minibatches.plan.num_steps, getattr(block, "num_stages", 1))
        self.conditions = condition_names(minibatches.drops.conditions)
        self.folder, self.state = folder, folder / "resume" / "state.ckpt"
        self.step = 0
        self.selection = Selection()
        self.curve: list[CurvePoint] = []
        self.average = WeightAverage(block, training.weight_averaging) if training.weight_averaging else None
        self._stage: int | None = None
        self._first_bad_step = torch.tensor(-1, device=fabric.device)
        self._began = self._kept_at = time.monotonic()
        self._cpu_began = time.process_time()
        self._validation_s = 0.0
        if self.state.is_file():
            self._resume()

    def run(self, log: EventLog, progress: TrainingProgress) -> None:
        """Train to the end: of the schedule, the patience or the time.

        :raises NumericalError: a loss that is not finite; the state before is kept.
        :raises StoreError: the state cannot be written.
        :raises OSError: the log cannot be written.
        """
        has_time = True
        while has_time and self.step < self.schedule.num_steps \
                and not self.selection.is_over(self.training.patience, self.schedule.last_stage):
            epoch = self.step // self.schedule.epoch_steps
            self._begin_stage(self.schedule.stage(epoch))
            has_time = self._steps_of(epoch, log, progress)
            self._validate(epoch, log)
            self._tell(progress)
            self._keep(SAVE_EPOCHS_EVERY_S)

    @property
    def used_s(self) -> float:
        """Time spent, that before an interruption included."""
        return time.monotonic() - self._began

    @property
    def nmse(self) -> float | None:
        """Of the last validation, linear, mean over conditions; None before the first one."""
        return self.curve[-1].validation_nmse if self.curve else None

    def cpu_s(self) -> float:
        """CPU time of all threads and processes that share the training, s, that before an interruption included; all
        processes have to ask at once."""
        own = torch.tensor(time.process_time() - self._cpu_began, dtype=torch.float64, device=self.fabric.device)
        return float(self.fabric.all_reduce(own, reduce_op="sum"))

    @property
    def seconds_left(self) -> float:
        """Seconds left of the budget."""
        return 60 * self.training.max_minutes - self.used_s if self.training.max_minutes else math.inf

    def _tell(self, progress: TrainingProgress) -> None:
        progress.tell(self.step, self.seconds_left, self.nmse, self.selection.nmse)

    def _begin_stage(self, stage: int) -> None:
        """Tell a block that has several stages which one it is in; each begins with the best weights of the one before.
        """
        if self.schedule.last_stage == 0 or stage == self._stage:
            return
        if self.selection.stage != stage:
            self.block.load_state_dict(self.selection.weights, strict=False)
            self.selection.begin(stage)
            if self.average:
                self.average.begin()
        self.block.begin_stage(stage)
        self._stage = stage

    def _steps_of(self, epoch: int, log: EventLog, progress: TrainingProgress) -> bool:
        """The steps of an epoch, from the present one on.

        :returns: whether there is time for more.
        """
        first = self.step % self.schedule.epoch_steps
        with contextlib.closing(self.minibatches.epoch(epoch, first)) as minibatches:
            for minibatch in minibatches:
                loss = self._make_step(minibatch)
                if self.step % min(_STEPS_BETWEEN_LOGS, self.schedule.epoch_steps) == 0:
                    log.add({"training_loss": loss, "learning_rate": self.schedule.learning_rate(self.step - 1),
                             "epoch": epoch}, self.step)
                self._tell(progress)
                if self.fabric.world_size == 1 or self.step % _STEPS_BETWEEN_CLOCKS == 0:
                    if self.training.max_minutes and self.fabric.broadcast(self.seconds_left <= self._validation_s):
                        return False
                    if self.step % self.schedule.epoch_steps:  # the end of an epoch is kept after its validation
                        self._keep(SAVE_STEPS_EVERY_S)
        return True

    def _make_step(self, minibatch: Minibatch) -> torch.Tensor:
        """Go down the gradient once.

        :returns: the loss, without a gradient.
        """
        self._seed_step()
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(self.step)
        loss = self.loss(minibatch)
        self._look_at(loss.detach())
        self.fabric.backward(loss)
        if self.training.gradient_clip:
            self.fabric.clip_gradients(self.loss, self.optimizer, max_norm=self.training.gradient_clip,
                                       error_if_nonfinite=False)  # half precision skips such a step
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update()
        self.step += 1
        return loss.detach()

    def _seed_step(self) -> None:
        """Dropout depends on the step alone, so that a resumed training goes on as it would have."""
        seed = stream_seed(self.training.weights_seed, "step", self.step, self.fabric.global_rank)
        torch.default_generator.manual_seed(seed)
        if self.fabric.device.type == "cuda":
            torch.cuda.default_generators[self.fabric.device.index or 0].manual_seed(seed)

    def _look_at(self, loss: torch.Tensor) -> None:
        """Remember the first step whose loss is not finite, and say so before long."""
        bad = ~torch.isfinite(loss) & (self._first_bad_step < 0)
        self._first_bad_step.masked_fill_(bad, self.step)
        if loss.device.type == "cpu" or self.step % _STEPS_BETWEEN_LOOKS == 0:
            self._check_finite()

    def _check_finite(self) -> None:
        step = int(self._first_bad_step)
        if step >= 0:
            raise self._not_finite("the training loss", step)

    def _not_finite(self, what: str, step: int) -> NumericalError:
        epoch, step = divmod(step, self.schedule.epoch_steps)
        return NumericalError(f"method {self.name!r}: {what} is not finite in epoch {epoch + 1}, step {step + 1} of "
                              f"{self.schedule.epoch_steps}")

    def _validate(self, epoch: int, log: EventLog) -> None:
        """The mean error of the validation drops of each condition; every condition counts the same.

        What is validated, and kept if it is the best, is the average of the weights where there is one.
        """
        began = time.monotonic()
        with self.average.in_place() if self.average else contextlib.nullcontext():
            values = self._validation_errors()
            nmse = sum(values) / len(values)
            if not math.isfinite(nmse):
                raise self._not_finite("the validation NMSE", self.step - 1)
            self.selection.consider(nmse, epoch, self.block)
        point = CurvePoint(self.step, self.minibatches.plan.drops_seen(self.step), self.cpu_s(), nmse)
        self.curve.append(point)
        each = {f"/{name}": value for name, value in zip(self.conditions, values)} if len(values) > 1 else {}
        log.add({f"validation_nmse_db{name}": to_db(value) for name, value in {"": nmse, **each}.items()}
                | {"cpu_s": point.cpu_s, "drops_seen": point.drops_seen}, self.step)
        if self.fabric.is_global_zero:
            write_curve(self.folder / LEARNING_CURVE, self.curve)
        self._validation_s = time.monotonic() - began

    def _validation_errors(self) -> list[float]:
        """Of each condition, the mean over its drops."""
        sums = torch.zeros(len(self.conditions), 2, dtype=torch.float64, device=self.fabric.device)  # errors, drops
        if self.fabric.world_size > 1:  # what is validated is what will be kept: the first process's
            for buffer in self.block.buffers():
                torch.distributed.broadcast(buffer, 0)
        with _evaluating(self.block), torch.no_grad():
            for item in self.minibatches.validation():
                with self.fabric.autocast():
                    errors = self.block.validation_errors(item.batch).double()
                sums[item.condition] += torch.stack([errors.sum(), torch.full_like(errors[0], len(errors))])
        sums = self.fabric.all_reduce(sums, reduce_op="sum")
        return (sums[:, 0] / sums[:, 1]).tolist()

    def _keep(self, every_s: float) -> None:
        """Keep the state, whole or not at all, if the last one is as old as this."""
        if not self.fabric.broadcast(time.monotonic() - self._kept_at >= every_s):
            return
        self._check_finite()
        if not all(bool(parameter.isfinite().all()) for parameter in self.block.parameters()
                   if parameter.requires_grad):
            return  # the next loss will say so
        cpu_s = self.cpu_s()
        if self.fabric.is_global_zero:
            content = io.BytesIO()  # a file that torch writes itself fails alike for a full disk and other faults
            torch.save({"step": self.step, "used_s": self.used_s, "cpu_s": cpu_s,
                        "block": dict(self.block.saved_state()),
                        "average": self.average.state() if self.average else {},
                        "moments": self.optimizer.state_dict()["state"], "precision": self._precision.state_dict(),
                        "selection": vars(self.selection), "curve": [tuple(point) for point in self.curve]}, content)
            with written_whole(self.state) as waiting:
                waiting.write_bytes(content.getbuffer())
        self._kept_at = time.monotonic()

    def _resume(self) -> None:
        """Go on from the state that was kept.

        :raises StoreError: it is damaged, or another block's.
        """
        try:
            state = torch.load(self.state, map_location="cpu", weights_only=True)
            if not isinstance(state, dict) or _types(state) != _STATE \
                    or not 0 <= state["step"] <= self.schedule.num_steps:
                raise ValueError("it is no state of a training")
            selection = Selection(**state["selection"])
            if _types(vars(selection)) != _types(vars(self.selection)):
                raise ValueError("it selects no epoch")
            for weights in (state["block"], selection.weights or state["block"]):
                matched(self.block.saved_state(), weights, self.name)
            self.block.load_state_dict(state["block"], strict=False)
            if self.average:
                self.average.restore(state["average"], self.name)
            self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state["moments"]})
            self._precision.load_state_dict(state["precision"])
            self.step, self.selection = state["step"], selection
            self.curve = [CurvePoint(*point) for point in state["curve"]]
            self._began -= state["used_s"]
            if self.fabric.is_global_zero:  # it is that of all processes
                self._cpu_began -= state["cpu_s"]
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a file may hold
            raise StoreError(f"{self.state}: damaged or of another version ({' '.join(str(error).split())[:80]}); "
                             f"delete {self.state.parent} to train anew") from None

    @property
    def _precision(self) -> Any:
        """Has the scale of half precision's gradients."""
        return self.fabric.strategy.precision


@contextlib.contextmanager
def _evaluating(block: torch.nn.Module) -> Iterator[None]:
    """In evaluation mode; afterwards each part is as it was: a stage may have frozen some."""
    before = [(part, part.training) for part in block.modules()]
    block.eval()
    try:
        yield
    finally:
        for part, was_training in before:
            part.training = was_training


def _types(values: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in values.items()}
