"""Path loss from where a terminal stands: by distance alone, or with what was measured around it."""

from __future__ import annotations

import torch

from linksim.blocks.universal.base import EnvironmentView, FittedBlock, Truth, UniversalShape, View
from linksim.core.registry import register
from linksim.core.types import PositiveInt

_RANGES_M = (10.0, 20.0, 40.0, 80.0, 160.0)
_NUGGETS = (0.0, 0.02, 0.1, 0.3)
"""Share of the variance that has no reach."""
_APART_M = 1e5
"""Between areas: nothing reaches from one to another."""
_AT_ONCE = 256


class _ByDistance(FittedBlock):
    """Fits PL = a + 10 n log10(d)."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[bool, list[tuple[torch.Tensor, torch.Tensor]]] = {False: [], True: []}

    def tasks(self) -> dict[str, str]:
        return {"path_loss": "environment"}

    def prepare(self, shape: UniversalShape) -> None:
        self.register_buffer("line", torch.zeros(2))

    def observe(self, views: dict[str, View], truth: Truth, validation: bool) -> None:
        view = views["environment"]
        place = torch.cat([view.offset_m, (view.height_map * _APART_M)[:, None]], 1)
        self._seen[validation].append((place.cpu(), truth.path_loss_db.cpu()))

    def solve(self) -> float:
        training = self._joined(False)
        place, loss = self._joined(True) if self._seen[True] else training
        self.line.copy_(torch.linalg.lstsq(_columns(training[0]), training[1][:, None]).solution[:, 0])
        self._fit(*training, place, loss)
        self._seen = {False: [], True: []}
        return float((self._at(place) - loss).square().mean().sqrt() / 15)

    def _joined(self, validation: bool) -> tuple[torch.Tensor, ...]:
        return tuple(torch.cat(parts) for parts in zip(*self._seen[validation]))

    def _fit(self, place: torch.Tensor, loss: torch.Tensor, other: torch.Tensor, other_loss: torch.Tensor) -> None:
        """Fit what goes beyond the line."""

    def answer(self, task: str, view: EnvironmentView) -> torch.Tensor:
        return self._at(torch.cat([view.offset_m, (view.height_map * _APART_M)[:, None]], 1))

    def _at(self, place: torch.Tensor) -> torch.Tensor:
        return _columns(place) @ self.line


@register("universal", "log_distance", trains=True)
class LogDistance(_ByDistance):
    """A line over the logarithm of the distance, by least squares.

    Source: T. S. Rappaport, Wireless Communications, 2nd ed., Section 4.9.1.
    """


@register("universal", "kriging", trains=True)
class Kriging(_ByDistance):
    """The line over the logarithm of the distance, and shadowing as the terminals around had it.

    Simple kriging of what the line leaves, from the nearest training terminals; its exponential variogram's reach and
    nugget are chosen on validation drops.

    Source: N. Cressie, Statistics for Spatial Data, Section 3.2; of path loss: J. Riihijärvi and P. Mähönen, "Machine
    learning for performance prediction in mobile cellular networks", IEEE Comput. Intell. Mag. 13(1), 2018.

    :param num_neighbours: training terminals that each answer is made from.
    """

    def __init__(self, num_neighbours: PositiveInt = 24) -> None:
        super().__init__()
        self.num_neighbours = num_neighbours

    def prepare(self, shape: UniversalShape) -> None:
        super().prepare(shape)
        self.register_buffer("place", torch.zeros(0, 4))
        self.register_buffer("shadowing", torch.zeros(0))
        self.register_buffer("chosen", torch.tensor([_RANGES_M[0], 0.0]))

    def load_state_dict(self, state_dict: dict[str, torch.Tensor], strict: bool = True, assign: bool = False
                        ) -> object:
        for name in ("place", "shadowing"):
            setattr(self, name, torch.empty_like(state_dict[name]))
        return super().load_state_dict(state_dict, strict, assign)

    def _fit(self, place: torch.Tensor, loss: torch.Tensor, other: torch.Tensor, other_loss: torch.Tensor) -> None:
        # a terminal drawn twice would be two equal rows
        self.place, first = place.unique(dim=0, return_inverse=True)
        total = torch.zeros(len(self.place)).index_add_(0, first, loss - _columns(place) @ self.line)
        self.shadowing = total / first.bincount()
        best = torch.inf
        for reach in _RANGES_M:
            for nugget in _NUGGETS:
                self.chosen = torch.tensor([reach, nugget])
                error = float((self._at(other) - other_loss).square().mean())
                if error < best:
                    best, chosen = error, self.chosen
        self.chosen = chosen

    def _at(self, place: torch.Tensor) -> torch.Tensor:
        return super()._at(place) + torch.cat([self._shadowing(part) for part in place.split(_AT_ONCE)])

    def _shadowing(self, place: torch.Tensor) -> torch.Tensor:
        reach, nugget = self.chosen.tolist()
        distance, near = _between(place, self.place).topk(min(self.num_neighbours, len(self.place)), largest=False)
        there = self.place[near]
        covariance = (1 - nugget) * torch.exp(-_between(there, there) / reach)
        covariance = covariance + (nugget + 1e-4) * torch.eye(covariance.shape[-1], device=place.device)
        towards = (1 - nugget) * torch.exp(-distance / reach)
        weight = torch.linalg.solve(covariance.double(), towards.double().unsqueeze(-1)).squeeze(-1)
        return (weight.to(place) * self.shadowing[near]).sum(1)


def _columns(place: torch.Tensor) -> torch.Tensor:
    distance = place[:, :3].norm(dim=1).clamp_min(1)
    return torch.stack([torch.ones_like(distance), 10 * distance.log10()], 1)


def _between(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Distances over the ground, ``[..., first, second]``."""
    columns = [0, 1, 3]
    return torch.cdist(first[..., columns].double(), second[..., columns].double()).to(first.dtype)
