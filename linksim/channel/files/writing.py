"""Write drops to HDF5, .npz or .mat, chunk by chunk, in the layout that `linksim_layout` reads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from linksim.channel.drops import Drops
from linksim.channel.files.linksim_layout import DOWNLINK_RAYS, HEADER, RAYS, FileHeader, Key, stored_name
from linksim.channel.rays import Rays
from linksim.core.errors import LinksimError
from linksim.core.interruption import deferred

MATLAB_LIMIT_BYTES = 2**31
"""A variable of a .mat file (v5) is smaller than this."""


class Writer(Protocol):
    """Takes arrays in pieces along their first axis."""

    def append(self, name: str, part: np.ndarray) -> None:
        """Add to an array, which the first piece makes."""

    def close(self) -> None:
        """Finish the file."""

    def abandon(self) -> None:
        """Let go of a file that will not be finished."""


class _SturdyFile(io.FileIO):
    """A file whose faults are kept, not raised, and looked at later: HDF5 takes the process down when it cannot write
    what it still holds as it closes.

    :ivar fault: the first one.
    """

    fault: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while len(left) and self.fault is None:
                left = left[super().write(left):]
        except OSError as error:
            self.fault = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.fault = self.fault or error
            return self.tell() if size is None else size

    def check(self) -> None:
        """:raises OSError: something could not be written."""
        if self.fault is not None:
            raise self.fault


class Hdf5Writer:
    """Resizable arrays; one piece in memory at a time."""

    def __init__(self, path: Path) -> None:
        import h5py  # start-up

        self._disk = _SturdyFile(path, "w+")
        self._file = h5py.File(self._disk, "w")

    def append(self, name: str, part: np.ndarray) -> None:
        if part.dtype.kind == "U":
            part = np.char.encode(part)
        with deferred():  # HDF5 calls `_SturdyFile`
            if name not in self._file:
                self._file.create_dataset(name, data=part, maxshape=(None, *part.shape[1:]), chunks=_chunks(part))
            else:
                data = self._file[name]
                data.resize(len(data) + len(part), axis=0)
                data[-len(part):] = part
        self._disk.check()

    def close(self) -> None:
        self.abandon()
        self._disk.check()

    def abandon(self) -> None:
        with deferred():
            self._file.close()
            try:
                self._disk.close()
            except OSError as error:
                self._disk.fault = self._disk.fault or error


class MemoryWriter:
    """.npz and .mat: everything is held until the file is closed.

    :param num_drops: that will come, so that a file which cannot be written is refused at the first piece.
    """

    def __init__(self, path: Path, num_drops: int) -> None:
        self._path, self._num_drops = path, num_drops
        self._parts: dict[str, list[np.ndarray]] = {}

    def append(self, name: str, part: np.ndarray) -> None:
        if name not in self._parts and self._path.suffix == ".mat":
            size = part.nbytes / max(len(part), 1) * max(self._num_drops, len(part))
            if size >= MATLAB_LIMIT_BYTES:
                raise LinksimError(f"{name} would take {size / 2**30:.1f} GiB, and a variable of a .mat file is "
                                   "smaller than 2 GiB: write .h5, or fewer drops")
        self._parts.setdefault(name, []).append(part)

    def close(self) -> None:
        arrays = {stored_name(name, self._path.suffix): np.concatenate(parts) for name, parts in self._parts.items()}
        with self._path.open("wb") as file:
            if self._path.suffix == ".mat":
                from scipy.io import savemat  # start-up

                savemat(file, arrays, oned_as="column")
            else:
                np.savez(file, **arrays)

    def abandon(self) -> None:
        self._parts.clear()


def make_writer(path: Path, suffix: str, num_drops: int) -> Writer:
    """A writer by suffix.

    :param path: temporary name of the file; ends in the suffix.
    """
    return Hdf5Writer(path) if suffix in (".h5", ".hdf5") else MemoryWriter(path, num_drops)


class LinksimWriter:
    """Drops in linksim's own layout.

    :param about: the header; its keys are filled in.
    :param axes: the sweep's channel fields, by path below ``channel``: their values are stored for every drop.
    :param with_rays: keep the rays, so that bounds can be computed from the file.
    """

    def __init__(self, writer: Writer, about: FileHeader, axes: list[str], with_rays: bool) -> None:
        self._writer, self._about, self._axes, self._with_rays = writer, about, axes, with_rays
        self._grids: dict[int, dict[str, np.ndarray]] = {}
        self._shared: dict[str, np.ndarray] = {}

    def append(self, point: int, drops: Drops, uplink_future: Any = None) -> None:
        """Add drops of one point.

        :param uplink_future: the uplink channel at the future's times, ``h``, where it cannot be computed from rays.
        """
        count = len(drops.history.h)
        first = not self._about.keys
        self._grids.setdefault(point, _grids(drops))
        per_drop: dict[str, Any] = {
            "history/h": drops.history.h, "future/h": drops.future.h,
            "history/max_doppler_hz": drops.history.max_doppler_hz,
            "future/max_doppler_hz": drops.future.max_doppler_hz,
            "point": np.full(count, point, np.int32),
        }
        for axis in self._axes:
            value = self._about.points[point][axis]
            per_drop[f"swept/{axis.rpartition('.')[2]}"] = _column(value, axis, self._about.points, count)
        if uplink_future is not None:
            per_drop["uplink_future/h"] = uplink_future
        shared: dict[str, Any] = {}
        rays = drops.uplink_rays
        if rays is not None:
            per_drop |= {"line_of_sight": rays.line_of_sight, "position_user_m": rays.position_user_m}
        if rays is not None and self._with_rays:
            tensors, other = rays.to_dict(), drops.downlink_rays.to_dict()
            differing = {name: other[name] for name in tensors
                         if drops.downlink_rays is not rays and not _equal(tensors[name], other[name])}
            for prefix, named in ((RAYS, tensors), (DOWNLINK_RAYS, differing)):
                per_drop |= {prefix + name: tensor for name, tensor in named.items() if name not in Rays.SHARED}
                shared |= {prefix + name: tensor for name, tensor in named.items() if name in Rays.SHARED}
        for name, value in per_drop.items():
            self._add(name, _to_numpy(value), first)
        for name, value in shared.items():
            self._same(name, _to_numpy(value), first)

    def close(self) -> dict[str, Key]:
        """Write what is known only now: grids by point, the header.

        :returns: the keys with shapes and types.
        """
        for name in next(iter(self._grids.values())):
            rows = [self._grids[point][name] for point in range(len(self._about.points))]
            self._same(name, np.stack(rows), True)
        self._writer.append(HEADER, np.array([self._about.model_dump_json()]))
        self._writer.close()
        return self._about.keys

    def abandon(self) -> None:
        """Let go of a file that will not be finished."""
        self._writer.abandon()

    def _add(self, name: str, part: np.ndarray, first: bool) -> None:
        key = self._about.keys.get(name)
        if (key is None) != first or (key and (key.shape[1:] != list(part.shape[1:]) or key.dtype != part.dtype.str)):
            raise LinksimError(f"{name}: its shape {list(part.shape[1:])} differs between the sweep's channel points"
                               f"{f', {key.shape[1:]} before' * (key is not None)}: write them to files of their own"
                               + " (or leave the rays out: --no-rays)" * name.startswith((RAYS, DOWNLINK_RAYS)))
        self._about.keys[name] = Key(shape=[len(part) + (key.shape[0] if key else 0), *part.shape[1:]],
                                     dtype=part.dtype.str, per_drop=True)
        self._writer.append(name, part)

    def _same(self, name: str, value: np.ndarray, first: bool) -> None:
        if first:
            self._about.keys[name] = Key(shape=list(value.shape), dtype=value.dtype.str, per_drop=False)
            self._shared[name] = value
            self._writer.append(name, value)
        elif not np.array_equal(self._shared.get(name), value):
            raise LinksimError(f"{name} differs between the drops, so it cannot be stored once: leave the rays out "
                               "(--no-rays), or write the sweep's channel points to files of their own")


def _grids(drops: Drops) -> dict[str, np.ndarray]:
    panel = drops.history.panel
    return {
        "history/time_s": _to_numpy(drops.history.time_s), "future/time_s": _to_numpy(drops.future.time_s),
        "history/frequency_hz": _to_numpy(drops.history.frequency_hz),
        "future/frequency_hz": _to_numpy(drops.future.frequency_hz),
        "carrier_hz": np.array([drops.uplink.carrier_hz, drops.downlink.carrier_hz]),
        "panel": np.array(panel.shape, np.int32),
    }


def _column(value: Any, axis: str, points: list[dict[str, Any]], count: int) -> np.ndarray:
    if isinstance(value, str):
        width = max(len(str(point[axis])) for point in points)
        return np.full(count, value.encode(), f"S{width}")
    return np.full(count, value, np.float64)


def _chunks(part: np.ndarray) -> tuple[int, ...] | None:
    """Pieces of at most 256 kB or one drop, so that any run of drops is read cheaply."""
    per_row = max(part.nbytes // max(len(part), 1), 1)
    return (max(1, min(2**18 // per_row, max(len(part), 256))), *part.shape[1:]) if part.ndim else None


def _equal(first: Any, second: Any) -> bool:
    return first is second or bool((first == second).all())


def _to_numpy(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) else value.detach().cpu().numpy()
