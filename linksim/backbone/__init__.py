"""Pretrained language models as a part of other blocks: loading, adaptation, word embeddings, last attention.

Names are loaded on first use: what a model's sizes are is known without torch (`linksim.backbone.choice`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXPORTS = {"Backbone": "model", "BackboneChoice": "choice", "LanguageModel": "choice",
            "LanguageModelAndWords": "choice", "LastAttention": "architectures", "build_backbone": "model"}

__all__ = [*_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'linksim.backbone' has no attribute {name!r}")
    return getattr(import_module(f"linksim.backbone.{_EXPORTS[name]}"), name)
