"""Training drops on disk: drawn once on this machine for all blocks that learn from them, now and later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

import linksim.channel
from linksim.blocks.prediction.trained import TrainingBatch
from linksim.core.cache import cached_tensors
from linksim.core.csi import Csi, Panel
from linksim.core.versions import sionna_version

_PARTS = ("history", "future", "uplink_future")
_TENSORS = ("h", "time_s", "frequency_hz", "noise_variance", "max_doppler_hz")


def kept_drops(identity: dict[str, Any], draw: Callable[[], TrainingBatch]) -> TrainingBatch:
    """A batch from the cache folder, drawn and kept there at first, on the CPU.

    :param identity: all that the values depend on but the code that draws them, which is added here.
    :raises StoreError: the cache folder cannot be written.
    """
    text = json.dumps([identity, _code()], sort_keys=True)
    name = f"training_drops/{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"
    return _batch(cached_tensors(name, lambda: _tensors(draw())))


@cache
def _code() -> list[str]:
    """Digests of the channel's source files, and the version of what it stands on."""
    folder = Path(linksim.channel.__file__).parent
    files = sorted(folder.rglob("*.py"))
    return [sionna_version(), *(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)]


def _tensors(batch: TrainingBatch) -> dict[str, torch.Tensor]:
    """Each of the batch's CSI once; ``place`` says which of them a part is."""
    different: list[Csi] = []
    place = []
    for part in _PARTS:
        csi = getattr(batch, part)
        if not any(csi is other for other in different):
            different.append(csi)
        place.append(next(index for index, other in enumerate(different) if csi is other))
    tensors = {"place": torch.tensor(place)}
    for index, csi in enumerate(different):
        panel = csi.panel
        tensors[f"panel.{index}"] = torch.tensor([panel.rows, panel.columns, panel.polarizations])
        tensors |= {f"{name}.{index}": getattr(csi, name).cpu().clone() for name in _TENSORS}
    return tensors


def _batch(tensors: dict[str, torch.Tensor]) -> TrainingBatch:
    place = tensors["place"].tolist()
    different = [Csi(**{name: tensors[f"{name}.{index}"] for name in _TENSORS},
                     panel=Panel(*tensors[f"panel.{index}"].tolist())) for index in range(max(place) + 1)]
    return TrainingBatch(**{part: different[index] for part, index in zip(_PARTS, place)})
