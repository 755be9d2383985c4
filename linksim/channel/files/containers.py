"""The containers that channel files come in: NumPy's .npz, MATLAB's .mat (v5 and v7.3), HDF5.

Nothing here executes what a file holds: no pickle, no MATLAB objects. `linksim.channel.files.arrays` looks through what
lies in them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil

from linksim.channel.files.reader import fault
from linksim.core.errors import ScenarioError

_COMPLEX_FIELDS = ({"real", "imag"}, {"re", "im"}, {"r", "i"})
"""Names of the two fields by which files without complex numbers keep them."""


_MATLAB_CLASSES = {"double": 8, "single": 4, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4,
                   "int64": 8, "uint64": 8, "logical": 1, "char": 1}
"""Those that are read, with the bytes of a number."""


class Container(Protocol):
    """Arrays by name, as the file has them. ``.npz`` and ``.mat`` v5 are read whole on first use, HDF5 in pieces.

    :param path: the file.
    :param names: of the arrays.
    :param others: what else is in the file, with its kind; nothing that could be read.
    """

    path: Path
    names: tuple[str, ...]
    others: dict[str, str]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, without reading it where the container allows."""

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Part of an array along its first axis."""


def open_container(path: Path) -> Container:
    """Open a file by its suffix and its first bytes.

    :raises ScenarioError: damaged or no such container.
    """
    with readable(path):
        if path.suffix == ".npz":
            return NumpyContainer(path)
        if path.suffix == ".mat" and not _is_hdf5(path):
            return MatlabContainer(path)
        return Hdf5Container(path)


@contextlib.contextmanager
def readable(path: Path, name: str = "") -> Iterator[None]:
    """The many exceptions of three parsers on a damaged file, as one line.

    :param name: of the array that is read.
    """
    try:
        yield
    except ScenarioError:
        raise
    except MemoryError:
        raise fault(path, f"{name or 'what it holds'} does not fit into memory") from None
    except PermissionError:
        raise fault(path, "cannot be read: permission denied") from None
    except Exception as error:  # zipfile, zlib, struct, h5py and scipy each raise their own
        reason = " ".join(str(error).split()) or type(error).__name__
        if name and "allow_pickle" in reason:
            raise fault(path, f"{name} holds Python objects, which are not read: save numbers") from None
        raise fault(path, f"damaged, cut off or not a {path.suffix} file ({reason[:120]})") from None


def check_memory(path: Path, name: str, size_bytes: int) -> None:
    """Whether an array can be held at all: a few compressed bytes may stand for any number of zeros.

    :raises ScenarioError: it is larger than the memory that is free.
    """
    if size_bytes < 2**28:
        return
    free = psutil.virtual_memory().available
    if size_bytes > free:
        raise fault(path, f"{name} takes {size_bytes / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free")


class NumpyContainer:
    """NumPy's .npz."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive = np.load(path, allow_pickle=False)
        if not isinstance(self._archive, np.lib.npyio.NpzFile):
            raise fault(path, "holds one array without a name: save it with numpy.savez")
        self.names = tuple(self._archive.files)
        self.others: dict[str, str] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._read: dict[str, np.ndarray] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self._shapes:
            self._shapes[name] = self._whole(name).shape
        return self._shapes[name]

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        whole = self._whole(name)
        return whole[start:stop] if whole.ndim else whole

    def _whole(self, name: str) -> np.ndarray:
        if name not in self._read:
            with readable(self.path, name):
                check_memory(self.path, name, self._size_bytes(name))
                # bytes, where an entry is no array
                self._read[name] = as_complex(np.asarray(self._archive[name]))
        return self._read[name]

    def _size_bytes(self, name: str) -> int:
        stored = self._archive.zip.getinfo(name if name in self._archive.zip.namelist() else f"{name}.npy")
        return stored.file_size


class MatlabContainer:
    """MATLAB v5, through SciPy: numbers and texts, also within structures."""

    def __init__(self, path: Path) -> None:
        from scipy.io import whosmat  # start-up

        self.path = path
        listed = whosmat(str(path))
        self._shapes = {name: tuple(shape) for name, shape, kind in listed if kind in _MATLAB_CLASSES}
        self._size = {name: 2 * _MATLAB_CLASSES[kind] * math.prod(shape) for name, shape, kind in listed
                      if kind in _MATLAB_CLASSES}
        self.others = {name: kind for name, _, kind in listed if kind not in _MATLAB_CLASSES}
        self._read: dict[str, np.ndarray] = {}
        for name in [name for name, kind in self.others.items() if kind == "struct"]:
            self._look_into(name, self._loaded(name))
        self.names = tuple(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        if name not in self._read:
            with readable(self.path, name):
                check_memory(self.path, name, self._size[name])
                self._read[name] = self._loaded(name)
        return self._read[name][start:stop]

    def _loaded(self, name: str) -> Any:
        from scipy.io import loadmat  # start-up

        return loadmat(str(self.path), variable_names=[name])[name]

    def _look_into(self, name: str, held: Any) -> None:
        """Arrays of a structure (one, not a list of them), by dotted path."""
        if not isinstance(held, np.ndarray) or held.dtype.names is None or held.size != 1:
            return
        for field in held.dtype.names:
            value, at = held.ravel()[0][field], f"{name}.{field}"
            if not isinstance(value, np.ndarray):
                continue
            if value.dtype.names is not None:
                self._look_into(at, value)
            elif value.dtype.kind in "biufcU":
                self._shapes[at], self._read[at] = value.shape, value


class Hdf5Container:
    """HDF5; MATLAB v7.3 is HDF5 with axes reversed and complex numbers as pairs ``real``, ``imag``."""

    def __init__(self, path: Path) -> None:
        import h5py  # start-up

        self.path = path
        self._file = h5py.File(path, "r", locking="best-effort")  # some cluster file systems have no locks
        self._reversed = path.suffix == ".mat"
        self.others: dict[str, str] = {}
        names: list[str] = []

        def seen(name: str, item: Any) -> None:
            if not isinstance(item, h5py.Dataset) or name.startswith("#"):
                return
            if h5py.check_ref_dtype(item.dtype) is not None:
                self.others[name] = "references"
            else:
                names.append(name)

        self._file.visititems(seen)
        self.names = tuple(names)

    def shape(self, name: str) -> tuple[int, ...]:
        with readable(self.path, name):
            data = self._file[name]
            if self._reversed and data.attrs.get("MATLAB_empty"):  # holds the sizes of what is not there
                return tuple(int(size) for size in np.ravel(data[()]))
            shape = data.shape or ()
            return shape[::-1] if self._reversed else shape

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        with readable(self.path, name):
            data = self._file[name]
            if not data.ndim:
                return as_complex(np.asarray(data[()]))
            shape = self.shape(name)
            wanted = len(range(*slice(start, stop).indices(shape[0])))
            check_memory(self.path, name, wanted * math.prod(shape[1:]) * data.dtype.itemsize)
            if not self._reversed:
                return as_complex(data[start:stop])
            # the first axis is the last one in the file; pairs of doubles go through in a few slabs
            slab = -(-len(data) // 8) if data.ndim > 2 else len(data)
            parts = [as_complex(data[at:at + slab, ..., start:stop] if data.ndim > 1 else data[start:stop])
                     for at in (range(0, len(data), slab) if data.ndim > 1 else [0])]
            return np.concatenate(parts).T


def as_complex(values: np.ndarray) -> np.ndarray:
    """Pairs of numbers, named as real and imaginary parts, as complex64; other arrays as they are."""
    fields = {name.lower(): name for name in values.dtype.names or ()}
    if set(fields) in _COMPLEX_FIELDS:
        real, imaginary = sorted(fields, key=lambda field: field.startswith("i"))
        found = np.empty(values.shape, np.complex64)
        found.real, found.imag = values[fields[real]], values[fields[imaginary]]
        return found
    return values


def _is_hdf5(path: Path) -> bool:
    """MATLAB v7.3 puts 512 bytes of its own before the HDF5 signature."""
    with path.open("rb") as file:
        head = file.read(520)
    return b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520])
