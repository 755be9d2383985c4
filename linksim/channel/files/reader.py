"""What every importer provides: a header with what the file says of itself, and its arrays piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from linksim.core.errors import ScenarioError

Point = dict[str, Any]
"""Values of swept channel fields: ``{"speed_kmh": 30.0}``."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself. Channel fields are named by their path below ``channel``: ``bs_array.rows``.

    :param title: format and file, for messages.
    :param num_items: drops, or users where ``num_users`` is not among the facts: then ``channel.num_users``
        neighbours make a drop.
    :param num_bs_antennas: of the base station.
    :param facts: channel fields that the file fixes; a scenario that names them must agree.
    :param assumed: published values of fields that the file does not hold; a scenario may name others.
    :param needed: fields that the file does not hold and nobody can guess: the scenario must name them.
    :param num_times: time samples of one stretch that is cut into history and future; None where the file holds the
        two apart, with ``max_history`` and ``max_future`` samples.
    :param duplex: modes the file can serve; empty: the one among the facts.
    :param antenna_order: nesting of the BS antenna index, slowest first.
    :param has_rays: drops come with their rays, so that the genie bound can be computed.
    :param points: what is swept in the file; one empty point where nothing is.
    :param point_of_item: ``[item]``, index into ``points``; None: all items belong to the first.
    :param notes: for the run's notes.
    :param item: what the file's own items are, for messages.
    :param numbers: ``[item]``, their numbers in the file, where some are left out; None: all are there.
    """

    title: str
    num_items: int
    num_bs_antennas: int
    facts: dict[str, Any]
    assumed: dict[str, Any] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    num_times: int | None = None
    max_history: int = 0
    max_future: int = 0
    duplex: tuple[str, ...] = ()
    antenna_order: tuple[str, ...] = ("polarization", "column", "row")
    has_rays: bool = False
    points: tuple[Point, ...] = ({},)
    point_of_item: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    item: str = "drop"
    numbers: np.ndarray | None = None

    def name_of(self, item: int) -> str:
        """An item as the file counts it, from 0."""
        return f"{self.item} {int(item if self.numbers is None else self.numbers[item])}"

    @property
    def is_normalized(self) -> bool:
        """Whether gains are as a scenario wanted them when the file was written, not as measured or drawn."""
        return "normalization" in self.facts or "normalization" in self.points[0]

    @property
    def says_speed(self) -> bool:
        """Whether the file tells how fast terminals are; one that holds one time sample has them stand still."""
        return self.num_times == 1 or any("speed_kmh" in known for known in (self.facts, self.assumed, self.points[0]))

    def items_of(self, point: int) -> np.ndarray:
        """Numbers of the items of a point, in the file's order."""
        if self.point_of_item is None:
            return np.arange(self.num_items)
        return np.flatnonzero(self.point_of_item == point)


@dataclass
class Samples:
    """Arrays of some items, as NumPy holds them. ``[item, user, ue_ant, bs_ant, time, subcarrier]`` unless said.

    A file holds ``history`` with one or both futures, or ``stretch`` (all times of one band), or impulse responses.

    :param uplink_future: in TDD the one that is predicted; ``downlink_future`` in FDD.
    :param gains: ``[item, user, ue_ant, bs_ant, path, time]``, path coefficients; ``delays_s`` ``[item, user, path]``.
    :param speed_kmh: ``[item]``, where the file tells speeds apart.
    :param max_doppler_hz: ``[item, user]`` in the uplink band and in the downlink band.
    :param rays: tensors of `Rays.to_dict`; ``downlink_rays`` those that differ in the downlink.
    :param line_of_sight: ``[item, user]``; ``position_user_m`` ``[item, user, 3]``.
    :param paths: path parameters as the format names them, ``[item, path]``.
    """

    history: np.ndarray | None = None
    uplink_future: np.ndarray | None = None
    downlink_future: np.ndarray | None = None
    stretch: np.ndarray | None = None
    gains: np.ndarray | None = None
    delays_s: np.ndarray | None = None
    speed_kmh: np.ndarray | None = None
    max_doppler_hz: tuple[np.ndarray, np.ndarray] | None = None
    rays: dict[str, np.ndarray] = field(default_factory=dict)
    downlink_rays: dict[str, np.ndarray] = field(default_factory=dict)
    line_of_sight: np.ndarray | None = None
    position_user_m: np.ndarray | None = None
    paths: dict[str, np.ndarray] = field(default_factory=dict)


class Reader(Protocol):
    """An open file. Made by an importer's ``open_…`` function, which has checked names, shapes and types."""

    header: Header

    def read(self, start: int, stop: int) -> Samples:
        """Items ``start`` to ``stop`` (excluded), in the file's order.

        :raises ScenarioError: the file is damaged there.
        """


def single(array: np.ndarray) -> np.ndarray:
    """As complex64; what is too large for it becomes infinite, which is reported with its place."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(np.complex64, copy=False)


def fault(path: Any, message: str) -> ScenarioError:
    """An error about a file, in one line."""
    return ScenarioError(f"{path}: {message}")
