"""linksim: an end-to-end link-level simulator for AI-native MIMO-OFDM on 3GPP channels.

Names are loaded on first use, so that ``import linksim`` (and ``linksim --help``) does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from linksim.core.llvm import name_llvm

__version__ = "0.1.0"

_EXPORTS = {
    "register": "linksim.core.registry",
    "load_scenario": "linksim.loading.load",
    "Scenario": "linksim.scenario.schema",
    "ScenarioError": "linksim.core.errors",
    "run": "linksim.experiment.run",
    "Results": "linksim.results.results",
    "Bound": "linksim.bounds.base",
    "ChannelSource": "linksim.channel.source",
    "Csi": "linksim.core.csi",
    "Panel": "linksim.core.csi",
}

name_llvm()

__all__ = [*_EXPORTS, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'linksim' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
