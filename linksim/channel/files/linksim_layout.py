"""The layout that ``linksim dataset`` writes: histories, futures and rays of drops, with a header in JSON.

Keys, shapes and units: docs/channel_files.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic

from linksim.channel.files.arrays import Arrays, numeric, open_arrays, require, text_of
from linksim.channel.files.reader import Header, Point, Samples, fault
from linksim.core.messages import describe, other_kinds
from linksim.scenario.channel import Channel
from linksim.scenario.dotted import replaced

HEADER = "header"
RAYS, DOWNLINK_RAYS = "rays/", "downlink_rays/"


class Key(pydantic.BaseModel):
    """What the header says of an array.

    :param per_drop: the first axis counts drops.
    """

    shape: list[Annotated[int, pydantic.Field(ge=0, le=2**40)]]
    dtype: str
    per_drop: bool

    @pydantic.field_validator("dtype")
    @classmethod
    def _is_a_type(cls, text: str) -> str:
        try:
            known = np.dtype(text).kind in "biufcSU"
        except TypeError:
            known = False
        if not known:
            raise ValueError("no type of numbers or texts")
        return text


class FileHeader(pydantic.BaseModel):
    """The header, as it is stored.

    :param channel: the scenario's ``channel`` section, but for what is swept.
    :param points: values of the swept fields, by path below ``channel``; ``point`` counts them.
    :param ray_traced: the section of that name, of ray-traced channels.
    """

    format: Literal["linksim channels"] = "linksim channels"
    version: Literal[1] = 1
    split: Literal["test", "training"]
    seed: int
    chunk_size: int
    channel: dict[str, Any]
    points: list[dict[str, Any]]
    keys: dict[str, Key]
    ray_traced: dict[str, Any] | None = None


def stored_name(name: str, suffix: str) -> str:
    """A key as a container writes it: MATLAB's names hold letters, digits and underscores."""
    return name.replace("/", "_").replace(".", "_") if suffix == ".mat" else name


def flat(section: dict[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Fields of nested sections by dotted path."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from flat(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


def open_linksim(path: Path) -> LinksimReader:
    """Open a file that ``linksim dataset`` wrote.

    :raises ScenarioError: not such a file, of another version, or damaged.
    """
    return LinksimReader(open_arrays(path))


class LinksimReader:
    """Drops with all that was stored of them."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._about = _file_header(arrays)
        for name in self._about.keys:
            if stored_name(name, arrays.path.suffix) not in arrays.names:
                raise fault(arrays.path, f"damaged or cut off: its header lists {name}, which is not there")
        for name in ("history/h", "future/h", "history/max_doppler_hz", "future/max_doppler_hz", "point"):
            if name not in self._about.keys:
                raise fault(arrays.path, f"its header does not list {name}")
        history, future = (self._key(f"{band}/h", 6) for band in ("history", "future"))
        if min(history) < 1 or history[:4] != future[:4]:
            raise fault(arrays.path, f"history/h {history} and future/h {future} do not fit together")
        self._check_points(history)
        facts = {key: value for key, value in flat(self._about.channel) if key not in ("num_history", "num_future")}
        if not facts.get("beam_squint"):  # left out or false: the same channels
            facts.pop("beam_squint", None)
        # what was stored as drawn may still be normalised
        assumed = {"normalization": facts.pop("normalization")} if facts.get("normalization") == "none" else {}
        point = self._per_drop("point", 0, history[0])
        if not self._about.points or point.min() < 0 or point.max() >= len(self._about.points):
            raise fault(arrays.path, "point counts beyond the points of its header")
        self._check_grids()
        self.header = Header(
            title=f"linksim file {arrays.path}", num_items=history[0], num_bs_antennas=history[3], facts=facts,
            assumed=assumed, max_history=history[4], max_future=future[4],
            has_rays=any(name.startswith(RAYS) for name in self._about.keys),
            points=tuple(self._about.points), point_of_item=point,
        )

    @property
    def channel(self) -> Channel:
        """As it was when the file was written; of several points, the first.

        :raises ScenarioError: its header says of ray tracing what no scenario could.
        """
        section = self._section(self._about.points[0])
        if self._about.ray_traced is not None:
            section = {**section, "source": "ray_traced", "ray_traced": self._about.ray_traced}
        try:
            return Channel.model_validate(section)
        except pydantic.ValidationError as error:
            raise fault(self._arrays.path, f"channel of its header: {describe(error.errors()[0])}") from None

    def read(self, start: int, stop: int) -> Samples:
        def band(name: str, what: str) -> np.ndarray:
            return self._per_drop(f"{name}/{what}", start, stop)

        is_tdd = self._duplex(start) == "tdd"
        future = band("future", "h")
        known = self._about.keys
        uplink_future = band("uplink_future", "h") if "uplink_future/h" in known else None
        return Samples(
            history=band("history", "h"), uplink_future=future if is_tdd else uplink_future,
            downlink_future=None if is_tdd else future,
            max_doppler_hz=(band("history", "max_doppler_hz"), band("future", "max_doppler_hz")),
            rays=self._rays(RAYS, start, stop), downlink_rays=self._rays(DOWNLINK_RAYS, start, stop),
            line_of_sight=self._per_drop("line_of_sight", start, stop) if "line_of_sight" in known else None,
            position_user_m=self._per_drop("position_user_m", start, stop) if "position_user_m" in known else None,
        )

    def _check_points(self, history: list[int]) -> None:
        """Whether each point is a channel section, of the sizes of the arrays.

        :param history: shape of ``history/h``.
        """
        for point in self._about.points:
            try:
                section = self._section(point)
                channel = Channel.model_validate(section)
            except KeyError as error:
                raise fault(self._arrays.path, f"points of its header: {error.args[0]}") from None
            except pydantic.ValidationError as error:
                first = error.errors()[0]
                raise fault(self._arrays.path, f"channel.{'.'.join(map(str, first['loc']))} of its header: "
                                               f"{describe(first)}") from None
            for place, message in other_kinds(section, channel):
                raise fault(self._arrays.path, f"channel.{'.'.join(map(str, place))} of its header: {message}")
            sizes = {"num_users": channel.num_users, "ue_array.num_antennas": channel.ue_array.num_antennas,
                     "bs_array": channel.bs_array.num_antennas, "num_subcarriers": channel.num_subcarriers}
            for (key, said), axis, held in zip(sizes.items(), ("users", "UE antennas", "BS antennas", "subcarriers"),
                                               (*history[1:4], history[5]), strict=True):
                if said != held:
                    raise fault(self._arrays.path, f"channel.{key} of its header makes {said} {axis}, but history/h "
                                                   f"has {held}")

    def _check_grids(self) -> None:
        """Whether times and subcarriers, where they are stored, are those of the header."""
        for name, unit in (("history/frequency_hz", "Hz"), ("history/time_s", "s")):
            if name not in self._about.keys:
                continue
            found = self._whole(name).astype(float)
            if found.ndim != 2 or len(found) != len(self._about.points):
                raise fault(self._arrays.path, f"{name} has shape {list(found.shape)}, but one row for each point is "
                                               "needed")
            for index, row in enumerate(found):
                channel = Channel.model_validate(self._section(self._about.points[index]))
                wanted = {"Hz": channel.subcarrier_spacing_khz * 1e3, "s": channel.csi_period_ms * 1e-3}[unit]
                if not np.allclose(np.diff(row), wanted, rtol=1e-6, atol=0) or not np.isfinite(row).all():
                    field = {"Hz": "subcarrier_spacing_khz", "s": "csi_period_ms"}[unit]
                    raise fault(self._arrays.path, f"{name} does not go in steps of channel.{field} of its header, "
                                                   f"{wanted:g} {unit}")

    def _section(self, point: Point) -> dict[str, Any]:
        section = self._about.channel
        for key, value in point.items():
            section = replaced(section, key, value)
        return section

    def _duplex(self, item: int) -> str:
        point = self._about.points[int(self.header.point_of_item[item])]
        return point.get("duplex", self._about.channel.get("duplex", "tdd"))

    def _rays(self, prefix: str, start: int, stop: int) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): self._per_drop(name, start, stop) if key.per_drop else self._whole(name)
                for name, key in self._about.keys.items() if name.startswith(prefix)}

    def _key(self, name: str, ndim: int) -> list[int]:
        shape = self._about.keys[name].shape
        if len(shape) != ndim:
            raise fault(self._arrays.path, f"{name} has shape {shape}, but {ndim} axes are needed")
        return shape

    def _per_drop(self, name: str, start: int, stop: int) -> np.ndarray:
        key = self._about.keys[name]
        stored = stored_name(name, self._arrays.path.suffix)
        if self._arrays.shape(stored) != tuple(key.shape):  # MATLAB's own idea of axes of length 1
            return self._whole(name)[start:stop]
        return self._typed(name, self._arrays.read(stored, start, stop))

    def _whole(self, name: str) -> np.ndarray:
        key = self._about.keys[name]
        array = self._typed(name, self._arrays.read(stored_name(name, self._arrays.path.suffix)))
        if array.size != np.prod(key.shape, dtype=int):
            raise fault(self._arrays.path, f"damaged or cut off: {name} has shape {list(array.shape)}, its header "
                                           f"says {key.shape}")
        return array.reshape(key.shape)

    def _typed(self, name: str, array: np.ndarray) -> np.ndarray:
        """An array as its header types it; MATLAB has whole numbers for true and false."""
        array, wanted = numeric(self._arrays, name, array), np.dtype(self._about.keys[name].dtype)
        if not np.can_cast(array.dtype, wanted, "same_kind") and not (wanted.kind == "b" and array.dtype.kind in "iu"):
            raise fault(self._arrays.path, f"{name} holds {array.dtype}, its header says {wanted}")
        with np.errstate(over="ignore"):  # what becomes infinite is reported with its place
            return array.astype(wanted, copy=False)


def _file_header(arrays: Arrays) -> FileHeader:
    require(arrays, HEADER, (0, 1, 2), "a text")
    try:
        return FileHeader.model_validate(json.loads(text_of(arrays.read(HEADER))))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise fault(arrays.path, f"its header is not one that this version of linksim reads ({where}: "
                                 f"{first['msg']})") from None
    except (ValueError, IndexError, TypeError, RecursionError):
        raise fault(arrays.path, "its header is damaged") from None
