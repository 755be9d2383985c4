"""What grammars of captions share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    """One of some choices, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
