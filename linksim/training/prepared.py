"""What a block makes of histories before its weights come in: made once, kept in memory or in the cache folder."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

import linksim.blocks.prediction
import linksim.mimo
from linksim.blocks.prediction.learned import TrainingBatch
from linksim.core.cache import cached_tensors
from linksim.scenario.training import Training
from linksim.training.conditions import Chunk


class PreparedHistories:
    """What ``block.prepared`` makes of the histories of one training; nothing for a block without it.

    With ``training.keep_drops`` it lies in the cache folder, named by the histories themselves, the options that matter
    and the code, for every training that sees the same histories, of this block or of another one that makes the same
    of them; otherwise in this process's memory.

    :param block: see `LearnedPredictor.prepared`.
    """

    def __init__(self, block: Any, training: Training) -> None:
        self._prepare = getattr(block, "prepared", None)
        self._block = block
        options = getattr(block, "prepared_options", dict)()
        self._kind = [options, *_code(block)] if options and training.keep_drops else None
        self._kept: dict[int, list[Any]] = {}

    def put(self, batch: TrainingBatch, kept_for: Chunk | None = None) -> TrainingBatch:
        """The batch with what the block makes of its histories.

        :param kept_for: the chunk whose history is the same whenever it is asked for.
        :raises StoreError: the cache folder cannot be written.
        """
        if self._prepare is None:
            return batch
        if kept_for is None:
            return replace(batch, prepared=self._prepare(batch))
        if self._kind is not None:
            text = json.dumps([_digest(batch), *self._kind], sort_keys=True)
            name = f"prepared_histories/{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"
            tensors = cached_tensors(name, lambda: self._block.packed(self._prepare(batch)))
            return replace(batch, prepared=self._block.unpacked(tensors))
        if kept_for.index not in self._kept:
            made = self._prepare(batch)
            if made is None:
                return batch
            self._kept[kept_for.index] = made
        return replace(batch, prepared=self._kept[kept_for.index])


def _digest(batch: TrainingBatch) -> str:
    """Of all that a block may see of a batch before its weights come in."""
    history, future = batch.history, batch.future
    digest = hashlib.sha256(repr(history.panel).encode())
    for tensor in (history.h, history.time_s, history.frequency_hz, history.noise_variance, history.max_doppler_hz,
                   future.time_s, future.frequency_hz):
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().resolve_conj().view(torch.uint8).numpy())
    return digest.hexdigest()


def _code(block: Any) -> list[str]:
    """Whose preparation it is, a class of linksim's and all that a user has derived from it, and digests of sources."""
    kinds = list(type(block).__mro__)
    makers = kinds[:1 + next(place for place, kind in enumerate(kinds) if "prepared" in vars(kind))]
    own = [kind for kind in makers if kind is makers[-1] or not kind.__module__.startswith("linksim.")]
    return [*(kind.__qualname__ for kind in own), *_sources(*(inspect.getfile(kind) for kind in own))]


@cache
def _sources(*files: str) -> list[str]:
    folders = [Path(path) for module in (linksim.blocks.prediction, linksim.mimo) for path in module.__path__]
    read = {*map(Path, files), *(file for folder in folders for file in folder.glob("*.py"))}
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(read)]
