"""linksim: an end-to-end link-level simulator for AI-native MIMO-OFDM on 3GPP channels.

Names are loaded on first use, so that ``import linksim`` (and ``linksim --help``) does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from linksim.core.llvm import name_llvm

if TYPE_CHECKING:
    from linksim.bounds.base import Bound as Bound
    from linksim.channel.source import ChannelSource as ChannelSource
    from linksim.core.csi import Csi as Csi
    from linksim.core.csi import Panel as Panel
    from linksim.core.errors import ScenarioError as ScenarioError
    from linksim.core.registry import register as register
    from linksim.experiment.run import run as run
    from linksim.loading.load import load_scenario as load_scenario
    from linksim.results.results import Results as Results
    from linksim.scenario.schema import Scenario as Scenario

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

if not TYPE_CHECKING:  # who checks types sees the names above, and those alone
    def __getattr__(name: str) -> Any:
        if name not in _EXPORTS:
            raise AttributeError(f"module 'linksim' has no attribute {name!r}")
        return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
