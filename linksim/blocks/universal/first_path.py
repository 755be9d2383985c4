"""Position from geometry: the direction and the delay of the path that arrives first."""

from __future__ import annotations

import torch

from linksim.blocks.universal.arrival import BELOW_DB, FirstArrival, free_space_excess_db, straight
from linksim.blocks.universal.base import ChannelView, FittedBlock, Truth, UniversalShape, View
from linksim.blocks.universal.fingerprints import Wknn
from linksim.registry import register
from linksim.types import PositiveInt

_SHARPNESS = 1.0
"""Of the probability, per dB."""


@register("universal", "first_path", trains=True)
class FirstPath(FittedBlock):
    """The terminal stands where the first path comes from, as far away as its delay says; no map, no fingerprints.

    The angle-delay spectrum (Hann windows, four cells for each antenna and subcarrier, parabolas through its peaks)
    gives the delay and the direction of the earliest peak that is not too far below the strongest. There is line of
    sight if the received power is about what free space leaves at that distance; without it, the place is corrected by
    the affine function that does so best in training, as its path went a longer way. With line of sight it is exact up
    to its resolution, in any city, if delays count from departure (``channel.ray_traced.synchronized: false``).

    Fitted: how far below, on validation drops; on training drops the threshold on power, the correction and the mean
    height of the base station above terminals.

    Source: NR's enhanced cell identity of TS 38.305, angle of arrival and round-trip time at one base station.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[bool, list[tuple[torch.Tensor, ...]]] = {False: [], True: []}

    def tasks(self) -> dict[str, str]:
        return {"position": "channel", "los": "channel"}

    def prepare(self, shape: UniversalShape) -> None:
        self.first = FirstArrival(shape)
        self.register_buffer("below", torch.tensor(0))
        for name in ("least_gain_db", "height_m"):
            self.register_buffer(name, torch.tensor(0.0))
        self.register_buffer("correction", torch.zeros(3, 2))

    def observe(self, views: dict[str, View], truth: Truth, validation: bool) -> None:
        view = views["channel"]
        height = -views["environment"].offset_m[:, 2]
        self._seen[validation].append(tuple(part.cpu() for part in (
            *self.first(view.h), view.gain_db, height, truth.position_m, truth.line_of_sight)))

    def solve(self) -> float:
        train, held_out = ([torch.cat(parts) for parts in zip(*seen)]
                           for seen in (self._seen[False], self._seen[True] or self._seen[False]))
        self._seen = {False: [], True: []}
        best, chosen = torch.inf, None
        for below in range(len(BELOW_DB)):
            self._fit(below, *train)
            distance, cosine, gain, _, position, _ = held_out
            error = float((self._place(distance, cosine, gain) - position).norm(dim=1).mean())
            if error < best:
                best, chosen = error, {name: value.clone() for name, value in self.state_dict().items()}
        self.load_state_dict(chosen)
        return best / 100

    def answer(self, task: str, view: ChannelView) -> torch.Tensor:
        distance, cosine = self.first(view.h)
        if task == "position":
            return self._place(distance, cosine, view.gain_db)
        return (_SHARPNESS * (self._over_free_space_db(distance, view.gain_db) - self.least_gain_db)).sigmoid()

    def _fit(self, below: int, distance: torch.Tensor, cosine: torch.Tensor, gain: torch.Tensor, height: torch.Tensor,
             position: torch.Tensor, is_los: torch.Tensor) -> None:
        self.below.fill_(below)
        self.correction.copy_(torch.eye(3)[:, 1:])
        self.height_m.copy_(height.mean())
        over = self._over_free_space_db(distance, gain)
        steps = torch.quantile(over, torch.linspace(0, 1, 201))
        self.least_gain_db.copy_(steps[((over > steps[:, None]) == is_los).float().mean(1).argmax()])
        hidden = over <= self.least_gain_db
        if hidden.sum() >= len(self.correction):
            found = _with_one(self._straight(distance, cosine)[hidden])
            self.correction.copy_(torch.linalg.lstsq(found, position[hidden]).solution)

    def _over_free_space_db(self, distance: torch.Tensor, gain_db: torch.Tensor) -> torch.Tensor:
        """Received power over that of free space, dB but for a constant of the carrier."""
        return free_space_excess_db(distance[:, self.below], gain_db)

    def _straight(self, distance: torch.Tensor, cosine: torch.Tensor) -> torch.Tensor:
        return straight(distance[:, self.below], cosine[:, self.below], self.height_m)

    def _place(self, distance: torch.Tensor, cosine: torch.Tensor, gain_db: torch.Tensor) -> torch.Tensor:
        place = self._straight(distance, cosine)
        return torch.where(self._hidden(distance, gain_db)[:, None], _with_one(place) @ self.correction, place)

    def _hidden(self, distance: torch.Tensor, gain_db: torch.Tensor) -> torch.Tensor:
        return self._over_free_space_db(distance, gain_db) <= self.least_gain_db

@register("universal", "first_path_wknn", trains=True)
class FirstPathWknn(FirstPath):
    """`first_path` where there is line of sight; without it, where `wknn` says.

    Source: see `first_path`, `wknn`.

    :param max_fingerprints: training terminals that are kept for `wknn`.
    """

    def __init__(self, max_fingerprints: PositiveInt = 20000) -> None:
        super().__init__()
        self.otherwise = Wknn(max_fingerprints)

    def prepare(self, shape: UniversalShape) -> None:
        super().prepare(shape)
        self.otherwise.prepare(shape)

    def observe(self, views: dict[str, View], truth: Truth, validation: bool) -> None:
        super().observe(views, truth, validation)
        self.otherwise.observe(views, truth, validation)

    def solve(self) -> float:
        self.otherwise.solve()
        return super().solve()

    def answer(self, task: str, view: ChannelView) -> torch.Tensor:
        if task != "position":
            return super().answer(task, view)
        distance, cosine = self.first(view.h)
        return torch.where(self._hidden(distance, view.gain_db)[:, None], self.otherwise.answer(task, view),
                           self._straight(distance, cosine))


def _with_one(place: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.ones_like(place[:, :1]), place], 1)
