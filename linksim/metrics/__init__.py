"""Metrics and bounds. `nmse` and `sgcs` take ``[batch, user, ue_ant, bs_ant, time, subcarrier]``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linksim.metrics.accuracy import nmse as nmse
    from linksim.metrics.accuracy import sgcs as sgcs

_EXPORTS = {"nmse": "linksim.metrics.accuracy", "sgcs": "linksim.metrics.accuracy"}


if not TYPE_CHECKING:
    def __getattr__(name: str) -> Any:
        if name not in _EXPORTS:
            raise AttributeError(f"module 'linksim.metrics' has no attribute {name!r}")
        return getattr(import_module(_EXPORTS[name]), name)
