"""Random streams that depend on what is drawn, never on who draws it or in which order."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
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
    import torch  # start-up

    return torch.Generator(device).manual_seed(seed)


_SIONNA = threading.RLock()
"""Sionna keeps its generators, and a model its topology, in one place for all threads."""


@contextlib.contextmanager
def sionna_seed(seed: int) -> Iterator[None]:
    """Seed Sionna's generators for one block of code; other threads that want them wait.

    Not through Sionna's own ``config.seed``: that would reseed torch's global generators, which belong to others.
    """
    from sionna.phy import config  # start-up

    with _SIONNA:
        config.py_rng.seed(seed)
        for index, device in enumerate(config.available_devices):
            config.torch_rng(device).manual_seed((seed + index) % 2**64)
        yield
