"""The beam that points at the terminal: right where nothing stands between, whatever the city."""

from __future__ import annotations

import math

import torch

from linksim.blocks.universal.base import EnvironmentView, UniversalBlock, UniversalShape
from linksim.core.csi import Panel
from linksim.core.registry import register
from linksim.mimo.angle_delay import dft_codebook


@register("universal", "pointing")
class Pointing(UniversalBlock):
    """Beams by what a plane wave from the terminal's direction would give them; nothing is learned.

    Source: H. L. Van Trees, Optimum Array Processing, Section 2.3 (beam pattern of a uniform line).
    """

    def tasks(self) -> dict[str, str]:
        return {"beam": "environment"}

    def prepare(self, shape: UniversalShape) -> None:
        self.panel = shape.panel

    def answer(self, task: str, view: EnvironmentView) -> torch.Tensor:
        return shares_towards(view, self.panel)


def shares_towards(view: EnvironmentView, panel: Panel) -> torch.Tensor:
    """Each beam's share of the power if there were the straight line alone, ``[sample, beam]``.

    Antennas stand half a wavelength apart, on a panel that is not tilted; both polarisations get the same.
    """
    direction = view.offset_m / view.offset_m.norm(dim=1, keepdim=True).clamp_min(1)
    line = _waves(direction[:, 1], panel.columns)[:, :, None] * _waves(-direction[:, 2], panel.rows)[:, None]
    wave = line.flatten(1)[:, None].expand(-1, panel.polarizations, -1).flatten(1)
    power = (wave @ dft_codebook(panel).to(wave)).abs().square()
    return power / power.sum(1, keepdim=True)


def _waves(cosine: torch.Tensor, count: int) -> torch.Tensor:
    phase = math.pi * cosine[:, None] * torch.arange(count, device=cosine.device)
    return torch.polar(torch.ones_like(phase), phase)
