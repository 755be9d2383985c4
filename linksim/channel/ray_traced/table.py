"""Traced paths of many positions, kept between runs: what a run reads instead of tracing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import torch
from torch.nn.functional import pad

from linksim.channel.ray_traced.area import VERSION
from linksim.channel.ray_traced.runtime import RELEASE
from linksim.channel.ray_traced.site import site_of
from linksim.core.cache import cached_tensors
from linksim.core.errors import StoreError
from linksim.core.files import cache_folder
from linksim.scenario.channel import Channel
from linksim.scenario.ray_traced import PROCEDURAL, TRACED

Item = TypeVar("Item")

_FORMAT = 1
"""Format of the table: another one is traced again."""



@dataclass(frozen=True)
class PathTable:
    """Paths from a base station to positions that all have at least one, the strongest first.

    :param position_m: ``[position, 3]``, float64, in the scene's axes.
    :param bs_position_m: ``[3]``, float64; ``[position, 3]`` where each area has its own.
    :param transfer: ``[position, path, 2, 2]``, complex64, from (theta, phi) at the base station to (theta, phi) at
        the terminal, between isotropic antennas; without the phase of the delay. Unused paths are zero.
    :param delay_s: ``[position, path]``, from departure.
    :param departure: ``[position, path, 2]``, zenith and azimuth at the base station, radian.
    :param arrival: the same at the terminal, towards where the path comes from.
    :param num_paths: ``[position]``, how many are used.
    :param line_of_sight: ``[position]``, bool: a path without interactions is among them.
    :param total_gain: ``[position]``, power gain of all paths found, also of those that are not kept.
    :param area: ``[position]``, int64, the number of each one's area; a table of one scene needs none.
    :param about: how it was made.
    """

    position_m: torch.Tensor
    bs_position_m: torch.Tensor
    transfer: torch.Tensor
    delay_s: torch.Tensor
    departure: torch.Tensor
    arrival: torch.Tensor
    num_paths: torch.Tensor
    line_of_sight: torch.Tensor
    total_gain: torch.Tensor
    area: torch.Tensor | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.position_m)

    @property
    def path_gain(self) -> torch.Tensor:
        """``[position, path]``: power gain, mean of both polarisations at the base station, sum at the terminal."""
        return self.transfer.abs().square().sum((-2, -1)) / 2

    def at(self, which: torch.Tensor) -> PathTable:
        """Some positions, by mask or index."""
        return replace(self, **{name: getattr(self, name)[which] for name in self._by_position})

    @property
    def _by_position(self) -> list[str]:
        """Names of what each position has its own of."""
        shared = {"about", *(["bs_position_m"] if self.bs_position_m.dim() == 1 else []),
                  *(["area"] if self.area is None else [])}
        return [item.name for item in fields(self) if item.name not in shared]

    def in_area(self, number: int) -> PathTable:
        """The same, fit to be joined with those of other areas."""
        return replace(self, bs_position_m=self.bs_position_m.expand(len(self), 3),
                       area=torch.full((len(self),), number))

    def limited(self, max_paths: int, range_db: float) -> PathTable:
        """The same positions with fewer paths: at most so many, none further below the strongest one."""
        gain = self.path_gain
        used = gain > gain[:, :1] * 10 ** (-range_db / 10)
        used[:, max_paths:] = False
        used[:, 0] = True
        longest = int(used.sum(-1).max()) if len(used) else 0
        used = used[:, :longest]
        cut = replace(self, **{name: getattr(self, name)[:, :longest] for name in _BY_PATH})
        return replace(cut, transfer=torch.where(used[..., None, None], cut.transfer, 0), num_paths=used.sum(-1))

    @classmethod
    def joined(cls, parts: list[PathTable], about: dict[str, Any]) -> PathTable:
        """Tables of the same base station, or of areas, one after the other."""
        longest = max(part.delay_s.shape[1] for part in parts)

        def widened(name: str, part: PathTable) -> torch.Tensor:
            values = getattr(part, name)
            missing = longest - part.delay_s.shape[1]
            return pad(values, (0, 0) * (values.dim() - 2) + (0, missing)) if name in _BY_PATH else values

        return replace(parts[0], about=about, **{
            name: torch.cat([widened(name, part) for part in parts]) for name in parts[0]._by_position})

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """What the file holds."""
        text = torch.tensor(list(json.dumps(self.about).encode()), dtype=torch.uint8)
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "about"}
        return {**{name: value for name, value in values.items() if value is not None}, "about": text}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> PathTable:
        """Inverse of `to_tensors`.

        :raises ValueError: tensors that are no table: one is missing, or of another shape or type.
        """
        try:
            about = json.loads(bytes(tensors["about"].tolist()))
            table = cls(**{name: value for name, value in tensors.items() if name != "about"}, about=about)
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"no table of paths: {error}") from None
        if not isinstance(about, dict):
            raise ValueError("what it says of itself is no list of keys and values")
        table._check()
        return table

    def _check(self) -> None:
        positions, paths = (*self.transfer.shape, 0, 0)[:2]
        wanted: dict[str, tuple[tuple[int, ...], str]] = {
            "position_m": ((positions, 3), "float"), "transfer": ((positions, paths, 2, 2), "complex"),
            "bs_position_m": ((3,) if self.bs_position_m.ndim == 1 else (positions, 3), "float"),
            "delay_s": ((positions, paths), "float"), "departure": ((positions, paths, 2), "float"),
            "arrival": ((positions, paths, 2), "float"), "num_paths": ((positions,), "int"),
            "line_of_sight": ((positions,), "bool"), "total_gain": ((positions,), "float"),
            "area": ((positions,), "int"),
        }
        for name, (shape, kind) in wanted.items():
            tensor = getattr(self, name)
            if tensor is None:
                continue
            if tuple(tensor.shape) != shape or kind not in str(tensor.dtype):
                raise ValueError(f"{name} is {list(tensor.shape)} {tensor.dtype}, not {list(shape)} {kind}")
            if kind in ("float", "complex") and not tensor.isfinite().all():
                raise ValueError(f"{name} has values that are not finite")


def from_cache(name: str, make: Callable[[], dict[str, torch.Tensor]]) -> PathTable:
    """A table from the cache, made and kept there at first.

    :raises StoreError: the cache cannot be written, or the file in it is no table.
    """
    return understood(name, lambda: PathTable.from_tensors(cached_tensors(name, make)))


def understood(name: str, read: Callable[[], Item]) -> Item:
    """What a file of the cache holds.

    :param read: raises ValueError or KeyError where it is something else.
    :raises StoreError: it is; names the file.
    """
    try:
        return read()
    except (ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise StoreError(f"{cache_folder() / name}: damaged ({reason}): delete it, and it is made again") from None


_BY_PATH = ("transfer", "delay_s", "departure", "arrival")


def table_name(channel: Channel) -> str:
    """Name of the file in the cache folder: a digest of all that the table depends on."""
    options = channel.ray_traced
    traced = options.model_dump(mode="json", include=set(TRACED))
    if options.terminal_positions_m is None:
        del traced["terminal_positions_m"]
    traced |= {"position_m": list(site_of(options).position_m), "azimuth_deg": site_of(options).azimuth_deg}
    if options.scene == PROCEDURAL:
        traced |= {"position_m": options.position_m, "area_version": VERSION, "first_area": options.first_area,
                   "positions_per_area": options.positions_per_area}
        traced |= {"num_areas": options.num_areas} if options.num_areas > 1 else {}
    if options.of_user:
        from linksim.channel.ray_traced.digest import digest_of_scene  # start-up

        traced |= {"scene": "", "scene_sha256": options.scene_sha256 or digest_of_scene(options)}
    if options.of_folder:
        traced |= {name: getattr(options, name) for name in ("first_area", "num_areas", "positions_per_area",
                                                             "base_station")}
    identity = {"format": _FORMAT, "sionna_rt": RELEASE, "carrier_ghz": channel.carrier_frequency_ghz, **traced}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    place = "scene" if options.of_user else options.scene
    return f"ray_traced-{_FORMAT}/{place}-{digest}.safetensors"
