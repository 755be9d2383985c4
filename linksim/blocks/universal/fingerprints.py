"""Nearest neighbours: the terminal stands where those stood whose channels looked like its own."""

from __future__ import annotations

import torch

from linksim.blocks.universal.base import ChannelView, FittedBlock, Truth, UniversalShape, View
from linksim.core.registry import register
from linksim.core.types import PositiveInt
from linksim.mimo.angle_delay import line_to_angle_delay

_CHOICES = (1, 2, 3, 5, 8, 12)
_GAIN_WEIGHTS = (0.0, 0.01, 0.03, 0.1)
"""By which dB of received power enter the distance; fingerprints have unit norm."""
_AT_ONCE = 256


class _Fingerprints(FittedBlock):
    """Positions and states of training terminals, found by what their channels looked like.

    :param max_fingerprints: training terminals that are kept.
    """

    weighted: bool

    def __init__(self, max_fingerprints: PositiveInt = 20000) -> None:
        super().__init__()
        self.max_fingerprints = max_fingerprints
        self._seen: dict[bool, list[tuple[torch.Tensor, ...]]] = {False: [], True: []}

    def tasks(self) -> dict[str, str]:
        return {"position": "channel", "los": "channel"}

    def prepare(self, shape: UniversalShape) -> None:
        self.polarizations = shape.panel.polarizations
        cells = shape.num_ue_antennas * shape.panel.num_antennas * shape.num_subcarriers
        for name, size in (("prints", (0, cells)), ("gains", (0,)), ("known", (0, 3))):
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("chosen", torch.tensor([1.0, 0.0]))

    def observe(self, views: dict[str, View], truth: Truth, validation: bool) -> None:
        view = views["channel"]
        known = torch.cat([truth.position_m, truth.line_of_sight[:, None].float()], 1)
        room = self.max_fingerprints - sum(len(part[0]) for part in self._seen[validation])
        self._seen[validation].append(tuple(
            part[:room].cpu() for part in (fingerprint(view, self.polarizations), view.gain_db, known)))

    def solve(self) -> float:
        self.prints, self.gains, self.known = (torch.cat(parts) for parts in zip(*self._seen[False]))
        prints, gains, known = (torch.cat(parts) for parts in zip(*(self._seen[True] or self._seen[False])))
        self._seen = {False: [], True: []}
        best = torch.inf
        for weight in _GAIN_WEIGHTS:
            distance, near = self._nearest(prints, gains, max(_CHOICES), weight)
            for count in _CHOICES:
                found = self._mean(distance[:, :count], near[:, :count])
                error = float((found[:, :2] - known[:, :2]).norm(dim=1).mean())
                if error < best:
                    best, self.chosen = error, torch.tensor([float(count), weight])
        return best / 100

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str, *others: object) -> None:
        for name in ("prints", "gains", "known"):  # as many as were kept
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *others)

    def answer(self, task: str, view: View) -> torch.Tensor:
        count, weight = self.chosen.tolist()
        found = self._mean(*self._nearest(fingerprint(view, self.polarizations), view.gain_db, int(count), weight))
        return found[:, :2] if task == "position" else found[:, 2]

    def _nearest(self, prints: torch.Tensor, gains: torch.Tensor, count: int, weight: float
                 ) -> tuple[torch.Tensor, torch.Tensor]:
        """Distances, rising, and which: ``[sample, count]`` each."""
        parts = []
        for mine, gain in zip(prints.split(_AT_ONCE), gains.split(_AT_ONCE)):
            square = (2 - 2 * mine @ self.prints.mT).clamp_min(0) + \
                (weight * (gain[:, None] - self.gains)).square()
            parts.append(square.topk(min(count, len(self.gains)), largest=False))
        return torch.cat([part.values for part in parts]).sqrt(), torch.cat([part.indices for part in parts])

    def _mean(self, distance: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        weight = 1 / distance.clamp_min(1e-4) if self.weighted else torch.ones_like(distance)
        return (weight[..., None] * self.known[near]).sum(1) / weight.sum(1, keepdim=True)


@register("universal", "knn", trains=True)
class Knn(_Fingerprints):
    """The mean of the terminals whose channels are most alike; how many, is chosen on validation drops.

    A fingerprint is the magnitude of the channel over beams and delays, of unit norm (the angle-delay profile), beside
    the received power.

    Source: P. Bahl and V. N. Padmanabhan, "RADAR: an in-building RF-based user location and tracking system", INFOCOM
    2000; angle-delay fingerprints: X. Sun et al., "Single-site localization based on a new type of fingerprint for
    massive MIMO-OFDM systems", IEEE Trans. Veh. Technol. 67(7), 2018.
    """

    weighted = False


@register("universal", "wknn", trains=True)
class Wknn(_Fingerprints):
    """The same with terminals weighed by how near their channels are, inversely.

    Source: see `knn`.
    """

    weighted = True


def fingerprint(view: ChannelView, polarizations: int) -> torch.Tensor:
    """Magnitudes over antennas, beams and delays, ``[sample, cell]``, unit norm."""
    cells = line_to_angle_delay(view.h, polarizations).abs()
    return torch.nn.functional.normalize(cells.flatten(1), dim=1)
