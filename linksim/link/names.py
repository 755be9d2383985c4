"""How things are written for people. No torch here."""

from __future__ import annotations


def model_name(model: str) -> str:
    """How a channel model is written: UMa, UMi, RMa, CDL-A."""
    return model.upper().replace("_", "-") if model.startswith("cdl") else model[:-1].upper() + model[-1]
