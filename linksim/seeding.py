"""Random streams that depend on what is drawn, never on who draws it or in which order."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def stream_seed(seed: int, *labels: Any) -> int:
    """A 63-bit seed for the stream named by ``labels`` (anything JSON can hold)."""
    text = json.dumps([seed, *labels], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator of its own. Noise is drawn on the CPU so that it is the same on every device."""
    import torch

    return torch.Generator(device).manual_seed(seed)


@contextlib.contextmanager
def sionna_seed(seed: int) -> Iterator[None]:
    """Seed Sionna's generators for one block of code and leave torch's global generators as they were.

    Sionna keeps its generators in a global object whose seeding also reseeds torch.
    """
    import torch
    from sionna.phy import config

    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        config.seed = seed
        yield
