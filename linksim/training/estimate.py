"""How long a training will take: a chunk is drawn and a few steps are made before it begins."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from linksim.scenario.training import WholeTraining
from linksim.training.conditions import CHUNK
from linksim.training.data import num_bytes, selected
from linksim.training.minibatches import Minibatches


@dataclass(frozen=True)
class Estimate:
    """Seconds of the parts of a training.

    :param first_s: once: drawing what is kept in memory.
    :param epoch_s: of every epoch, its validation included.
    """

    first_s: float
    epoch_s: float

    def seconds(self, num_epochs: int) -> float:
        return self.first_s + num_epochs * self.epoch_s

    def epochs_within(self, training: WholeTraining) -> int:
        """How many of the epochs asked for fit the budget; at least one."""
        if not training.max_minutes:
            return training.num_epochs
        fit = int((60 * training.max_minutes - self.first_s) / self.epoch_s)
        return min(training.num_epochs, max(1, fit))


def measure(block: Any, minibatches: Minibatches) -> Estimate:
    """Draw a chunk and make a few steps; the block's parameters and buffers are as before."""
    drops, plan = minibatches.drops, minibatches.plan
    device = torch.device(drops.device)
    true = minibatches.true(plan.chunks[0])  # the first draw loads Sionna's models
    draw_s = _seconds(lambda: drops.draw(plan.chunks[-1]), device)
    with torch.no_grad():
        noise_s = _seconds(lambda: minibatches.observed(plan.chunks[0], true, "estimate"), device)
        batch = minibatches.observed(plan.chunks[0], true, "estimate")
        prepared_s = _seconds(lambda: minibatches.prepared(batch), device)
        batch = minibatches.prepared(batch)
    size = -(-sum(chunk.num_drops for chunk in plan.chunks) // plan.pass_steps)
    batch = selected(batch, torch.arange(size, device=batch.history.h.device) % len(batch.history.h))
    before = {name: tensor.clone() for name, tensor in block.saved_state().items()}

    mixed = drops.training.precision != 32
    autocast = torch.autocast(device.type, {"16-mixed": torch.float16}.get(drops.training.precision, torch.bfloat16),
                              enabled=mixed)

    def step() -> None:
        with autocast:
            loss = block.training_loss(batch)
        loss.backward()

    def validation() -> None:
        with autocast, torch.no_grad():
            block.validation_errors(batch)

    _seconds(step, device)  # the first one is slower
    step_s = min(_seconds(step, device) for _ in range(2))
    block.eval()
    validation_s = _seconds(validation, device)
    block.train()
    block.zero_grad(set_to_none=True)
    block.load_state_dict(before, strict=False)
    for_validation = len(minibatches.validation_chunks)
    chunks = len(plan.chunks) + for_validation
    seen = plan.num_passes * len(plan.chunks) + for_validation
    per_chunk = num_bytes(true) / len(true.history.h) * CHUNK
    kept = min(1.0, drops.training.cache_gb * 1e9 / (chunks * per_chunk))
    if drops.training.fresh_drops:
        kept = min(kept, for_validation / chunks)
    validation_drops = sum(chunk.num_drops for chunk in minibatches.validation_chunks)
    epoch_s = plan.num_steps * step_s + validation_drops / size * validation_s + seen * noise_s \
        + (1 - kept) * seen * draw_s
    if drops.training.fresh_noise:
        epoch_s += len(plan.chunks) * plan.num_passes * prepared_s
        chunks_once = for_validation
    else:
        chunks_once = chunks
    return Estimate(kept * chunks * draw_s + chunks_once * prepared_s, epoch_s)


def _seconds(work: Any, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
