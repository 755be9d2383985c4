"""Beams without a network: of the true channel, towards the terminal, and of those who stood around it."""

from __future__ import annotations

import math

import torch

from linksim.blocks.universal.base import (
    ChannelView,
    EnvironmentView,
    FittedBlock,
    Truth,
    UniversalBlock,
    UniversalShape,
    View,
)
from linksim.core.csi import Panel
from linksim.core.registry import register
from linksim.mimo.angle_delay import dft_codebook
from linksim.mimo.precoding import band_precoder


@register("universal", "true_channel")
class TrueChannel(UniversalBlock):
    """What no model can be better at: the band's dominant singular vectors and the strongest beam of the true channel.

    Source: T. Lo, "Maximum ratio transmission", IEEE Trans. Commun. 47(10), 1999.
    """

    knows_truth = True

    def tasks(self) -> dict[str, str]:
        return {"precoding": "channel", "beam": "channel"}

    def prepare(self, shape: UniversalShape) -> None:
        self.panel, self.num_streams = shape.panel, shape.num_streams

    def answer(self, task: str, view: ChannelView) -> torch.Tensor:
        if task == "beam":
            return (view.h.mT @ dft_codebook(self.panel).to(view.h)).abs().square().sum((1, 2))
        return band_precoder(view.h, self.num_streams)


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


_COUNTS = (1, 2, 3, 4, 6, 8, 12)
_POWERS = (0.0, 1.0, 2.0)
_APART_M = 1e5
"""Between areas: who stands in the same one is always nearer."""
_AT_ONCE = 256


@register("universal", "beam_map", trains=True)
class BeamMap(FittedBlock):
    """Each beam's share of the power, as the mean of the nearest training terminals had it.

    How many, and by which power of their distance they count less, is chosen on validation drops. Where nobody of the
    area was seen, the nearest are those of other areas who stood alike before their base station.

    Source: V. Va et al., "Inverse Multipath Fingerprinting for Millimeter Wave V2I Beam Alignment", IEEE Trans. Veh.
    Technol. 67(5), 2018, Section IV (a data base of beams by position).
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[bool, list[tuple[torch.Tensor, torch.Tensor]]] = {False: [], True: []}

    def tasks(self) -> dict[str, str]:
        return {"beam": "environment"}

    def prepare(self, shape: UniversalShape) -> None:
        self.register_buffer("place", torch.zeros(0, 3))
        self.register_buffer("shares", torch.zeros(0, shape.panel.num_antennas))
        self.register_buffer("chosen", torch.tensor([1.0, 0.0]))

    def observe(self, views: dict[str, View], truth: Truth, validation: bool) -> None:
        self._seen[validation].append((_places(views["environment"]).cpu(), truth.beam_share.cpu()))

    def solve(self) -> float:
        place, shares = (torch.cat(parts) for parts in zip(*self._seen[False]))
        other, other_shares = (torch.cat(parts) for parts in zip(*(self._seen[True] or self._seen[False])))
        self._seen = {False: [], True: []}
        # a terminal drawn twice counts once
        self.place, which = place.unique(dim=0, return_inverse=True)
        self.shares = torch.zeros(len(self.place), shares.shape[1]).index_add_(0, which, shares)
        self.shares /= which.bincount()[:, None]
        best = torch.inf
        for count in _COUNTS:
            for power in _POWERS:
                self.chosen = torch.tensor([float(count), power])
                error = float((self._around(other).argmax(1) != other_shares.argmax(1)).float().mean())
                if error < best:
                    best, chosen = error, self.chosen
        self.chosen = chosen
        return best

    def load_state_dict(self, state_dict: dict[str, torch.Tensor], strict: bool = True, assign: bool = False
                        ) -> object:
        for name in ("place", "shares"):  # as many as were seen
            setattr(self, name, torch.empty_like(state_dict[name]))
        return super().load_state_dict(state_dict, strict, assign)

    def answer(self, task: str, view: EnvironmentView) -> torch.Tensor:
        return self._around(_places(view))

    def _around(self, place: torch.Tensor) -> torch.Tensor:
        count, power = self.chosen.tolist()
        return torch.cat([self._mean(part, int(count), power) for part in place.split(_AT_ONCE)])

    def _mean(self, place: torch.Tensor, count: int, power: float) -> torch.Tensor:
        distance = torch.cdist(place[:, :2], self.place[:, :2])
        elsewhere = place[:, 2:] != self.place[:, 2]
        near = (distance + _APART_M * elsewhere).topk(min(count, len(self.place)), largest=False).indices
        weight = distance.gather(1, near).clamp_min(0.1).pow(-power)
        return (weight[..., None] * self.shares[near]).sum(1) / weight.sum(1, keepdim=True)


def _places(view: EnvironmentView) -> torch.Tensor:
    """Where on the ground, and in which area, ``[sample, 3]``."""
    return torch.cat([view.offset_m[:, :2], view.height_map[:, None]], 1)
