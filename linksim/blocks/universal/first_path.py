"""Position from geometry: the direction and the delay of the path that arrives first."""

from __future__ import annotations

from typing import NamedTuple

import torch
from sionna.phy import SPEED_OF_LIGHT

from linksim.blocks.universal.base import ChannelView, FittedBlock, Truth, UniversalShape, View
from linksim.blocks.universal.fingerprints import Wknn
from linksim.blocks.universal.rules import absolute_delays
from linksim.core.registry import register
from linksim.core.types import PositiveInt

BELOW_DB = (0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 20.0, 25.0)
"""How far below the strongest peak the first path may be: an estimate for each."""
_FINER = 4
"""Cells of the angle-delay spectrum for each antenna and each subcarrier."""
_AT_ONCE = 256


class FirstArrival:
    """The earliest peak of the angle-delay spectrum that is not too far below the strongest.

    Hann windows, four cells for each antenna and subcarrier, parabolas through the peaks. Delays must count from
    departure (``channel.ray_traced.synchronized: false``).
    """

    def __init__(self, shape: UniversalShape) -> None:
        self._panel, self._spacing_hz = shape.panel, shape.subcarrier_spacing_hz

    def __call__(self, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first path for each of `BELOW_DB`.

        :param h: complex, ``[sample, ue_ant, bs_ant, subcarrier]``.
        :returns: its length, m, and its direction's cosine with the axis to the left, ``[sample, below]`` each.
        """
        parts = [self._first_of(some) for some in h.split(_AT_ONCE)]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _first_of(self, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        power = self._spectrum(h)
        angles, delays = power.shape[1:]
        peak = torch.ones_like(power, dtype=torch.bool)
        for dim in (1, 2):
            for shift in (1, -1):
                peak &= power >= power.roll(shift, dim)
        strongest = power.flatten(1).amax(1)
        least = strongest[:, None] * 10 ** (-torch.tensor(BELOW_DB, device=h.device) / 10)
        highest, angle = torch.where(peak, power, 0.0).max(1)  # of the peaks at each delay, [sample, delay]
        delay = (highest[:, None] >= least[..., None]).int().argmax(-1)  # the first; that of the strongest is one
        angle = angle.gather(1, delay)
        which = torch.arange(len(h), device=h.device)[:, None]

        def finer(at: list[torch.Tensor]) -> torch.Tensor:
            before, here, after = (power[which, a % angles, d % delays].clamp_min(1e-20).log() for a, d in at)
            return (0.5 * (before - after) / (before - 2 * here + after).clamp_max(-1e-9)).clamp(-0.5, 0.5)

        delay_cell = delay + finer([(angle, delay - 1), (angle, delay), (angle, delay + 1)])
        angle_cell = angle + finer([(angle - 1, delay), (angle, delay), (angle + 1, delay)])
        cosine = 2 * ((angle_cell / angles + 0.5) % 1 - 0.5)  # antennas stand half a wavelength apart
        return delay_cell * SPEED_OF_LIGHT / (delays * self._spacing_hz), cosine

    def _spectrum(self, h: torch.Tensor) -> torch.Tensor:
        """Power over the cosine with the axis to the left and the delay, ``[sample, angle, delay]``."""
        panel, subcarriers = self._panel, h.shape[-1]
        h = h.unflatten(2, (panel.polarizations, panel.columns, panel.rows))
        h = h * _hann(panel.columns, h)[:, None, None] * _hann(subcarriers, h)
        cells = torch.fft.ifft(torch.fft.fft(h, _FINER * panel.columns, dim=3), _FINER * subcarriers, dim=-1)
        return cells.abs().square().sum((1, 2, 4))


def straight(distance_m: torch.Tensor, cosine: torch.Tensor, height_m: torch.Tensor) -> torch.Tensor:
    """Metres ahead and to the left, ``[..., 2]``, of where a straight path of this length and direction ends.

    :param distance_m: of any shape; the path's length.
    :param cosine: of the direction with the axis to the left.
    :param height_m: of the base station above the terminal.
    """
    left = distance_m * cosine
    ahead = (distance_m.square() - left.square() - height_m.square()).clamp_min(0).sqrt()
    return torch.stack([ahead, left], -1)


def free_space_excess_db(distance_m: torch.Tensor, gain_db: torch.Tensor) -> torch.Tensor:
    """Received power over that of free space at this distance, dB but for a constant of the carrier.

    Source: ITU-R P.525, equation 4 (free-space basic transmission loss).

    :param distance_m: of any shape, as ``gain_db``, the gain between isotropic antennas.
    """
    return gain_db + 20 * distance_m.clamp_min(1).log10()


def _hann(count: int, like: torch.Tensor) -> torch.Tensor:
    return torch.hann_window(count + 2, periodic=False, device=like.device)[1:-1]


_SHARPNESS = 1.0
"""Slope of the probability, per dB."""


class _Arrived(NamedTuple):
    """What is known of terminals, ``[sample, below]`` of the first path, else ``[sample]``."""

    distance_m: torch.Tensor
    cosine: torch.Tensor
    gain_db: torch.Tensor
    bs_height_m: torch.Tensor


@register("universal", "first_path", trains=True, requires=absolute_delays)
class FirstPath(FittedBlock):
    """The terminal stands where the first path comes from, as far away as its delay says; no map, no fingerprints.

    Delay and direction are those of `linksim.blocks.universal.first_path.FirstArrival`. There is line of sight if the
    received power is about what free space leaves at that distance; without it, the place is corrected by the affine
    function that does so best in training, as its path went a longer way. With line of sight it is exact up to its
    resolution, in any city, if delays count from departure (``channel.ray_traced.synchronized: false``).

    Fitted: how far below, on validation drops; on training drops the threshold on power, the correction and the
    mean height of terminals above the zero of the map; the base station knows its own.

    Source: NR's enhanced cell identity of TS 38.305, angle of arrival and round-trip time at one base station.
    """

    version = 2

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[bool, list[tuple[torch.Tensor, ...]]] = {False: [], True: []}

    def tasks(self) -> dict[str, str]:
        return {"position": "channel", "los": "channel"}

    def prepare(self, shape: UniversalShape) -> None:
        self.first = FirstArrival(shape)
        self.register_buffer("below", torch.tensor(0))
        for name in ("least_gain_db", "terminal_m"):
            self.register_buffer(name, torch.tensor(0.0))
        self.register_buffer("correction", torch.zeros(3, 2))

    def observe(self, views: dict[str, View], truth: Truth, validation: bool) -> None:
        there = views["environment"]
        terminal = there.bs_height_m + there.offset_m[:, 2]
        self._seen[validation].append(tuple(part.cpu() for part in (
            *self._arrived(views["channel"]), terminal, truth.position_m, truth.line_of_sight)))

    def solve(self) -> float:
        train, held_out = ([torch.cat(parts) for parts in zip(*seen)]
                           for seen in (self._seen[False], self._seen[True] or self._seen[False]))
        self._seen = {False: [], True: []}
        best, chosen = torch.inf, None
        for below in range(len(BELOW_DB)):
            self._fit(below, _Arrived(*train[:4]), *train[4:])
            error = float((self._place(_Arrived(*held_out[:4])) - held_out[5]).norm(dim=1).mean())
            if error < best:
                best, chosen = error, {name: value.clone() for name, value in self.state_dict().items()}
        self.load_state_dict(chosen)
        return best / 100

    def answer(self, task: str, view: ChannelView) -> torch.Tensor:
        seen = self._arrived(view)
        if task == "position":
            return self._place(seen)
        return (_SHARPNESS * (self._over_free_space_db(seen) - self.least_gain_db)).sigmoid()

    def _arrived(self, view: ChannelView) -> _Arrived:
        return _Arrived(*self.first(view.h), view.gain_db, view.bs_height_m)

    def _fit(self, below: int, seen: _Arrived, terminal: torch.Tensor, position: torch.Tensor,
             is_los: torch.Tensor) -> None:
        self.below.fill_(below)
        self.correction.copy_(torch.eye(3)[:, 1:])
        self.terminal_m.copy_(terminal.mean())
        over = self._over_free_space_db(seen)
        steps = torch.quantile(over, torch.linspace(0, 1, 201))
        self.least_gain_db.copy_(steps[((over > steps[:, None]) == is_los).float().mean(1).argmax()])
        hidden = self._hidden(seen)
        if hidden.sum() >= len(self.correction):
            found = _with_one(self._straight(seen)[hidden])
            self.correction.copy_(torch.linalg.lstsq(found, position[hidden]).solution)

    def _over_free_space_db(self, seen: _Arrived) -> torch.Tensor:
        return free_space_excess_db(seen.distance_m[:, self.below], seen.gain_db)

    def _hidden(self, seen: _Arrived) -> torch.Tensor:
        return self._over_free_space_db(seen) <= self.least_gain_db

    def _straight(self, seen: _Arrived) -> torch.Tensor:
        return straight(seen.distance_m[:, self.below], seen.cosine[:, self.below],
                        seen.bs_height_m - self.terminal_m)

    def _place(self, seen: _Arrived) -> torch.Tensor:
        place = self._straight(seen)
        return torch.where(self._hidden(seen)[:, None], _with_one(place) @ self.correction, place)


@register("universal", "first_path_wknn", trains=True, requires=absolute_delays)
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
        seen = self._arrived(view)
        return torch.where(self._hidden(seen)[:, None], self.otherwise.answer(task, view), self._straight(seen))


def _with_one(place: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.ones_like(place[:, :1]), place], 1)
