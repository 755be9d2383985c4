"""Named arrays in a file, whatever its container: HDF5, NumPy's .npz, MATLAB's .mat (v5 and v7.3).

Nothing here executes what a file holds: no pickle, no MATLAB objects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from linksim.channel.files.reader import fault
from linksim.errors import ScenarioError
from linksim.faults import suggestion

SUFFIXES = (".h5", ".hdf5", ".npz", ".mat")


class Arrays(Protocol):
    """Arrays by name. ``.npz`` and ``.mat`` v5 are read whole on first use, the others piece by piece.

    :param path: the file.
    :param names: of the arrays.
    """

    path: Path
    names: tuple[str, ...]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, without reading it where the container allows."""

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Part of an array along its first axis."""


def open_arrays(path: Path) -> Arrays:
    """Open a file by its suffix.

    :raises ScenarioError: missing, unreadable, no such container, or damaged.
    """
    if not path.exists():
        raise fault(path, "no such file")
    if path.is_dir():
        raise fault(path, "is a folder: name a file in it (only the llm4cp layout is a folder)")
    if path.suffix not in SUFFIXES:
        raise fault(path, f"cannot tell what it is: its name must end in one of {', '.join(SUFFIXES)}")
    with _readable(path):
        if path.suffix == ".npz":
            return _NumpyArrays(path)
        if path.suffix == ".mat" and not _is_hdf5(path):
            return _MatlabArrays(path)
        return _Hdf5Arrays(path)


def require(arrays: Arrays, name: str, ndim: int | tuple[int, ...], what: str) -> tuple[int, ...]:
    """Shape of an array that must be there, with trailing axes of length 1 put back where MATLAB drops them.

    :param ndim: axes it must have.
    :param what: its axes in words, for the message.
    :raises ScenarioError: no such array (names the nearest), or another number of axes.
    """
    if name not in arrays.names:
        raise fault(arrays.path, f"no array {name!r}: {suggestion(name, arrays.names)}")
    shape = arrays.shape(name)
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if arrays.path.suffix == ".mat":
        shape = shape + (1,) * (min(allowed) - len(shape))
    if len(shape) not in allowed or 0 in shape:
        raise fault(arrays.path, f"{name} has shape {list(shape)}, but {what} is needed")
    return shape


def numeric(arrays: Arrays, name: str, array: np.ndarray) -> np.ndarray:
    """The array if it holds numbers.

    :raises ScenarioError: texts, objects, structures.
    """
    if array.dtype.kind not in "biufc":
        raise fault(arrays.path, f"{name} holds {array.dtype}, not numbers")
    return array


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """The many exceptions of three parsers on a damaged file, as one line."""
    try:
        yield
    except (ScenarioError, MemoryError):
        raise
    except PermissionError:
        raise fault(path, "cannot be read: permission denied") from None
    except Exception as error:  # zipfile, zlib, struct, h5py and scipy each raise their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise fault(path, f"damaged, cut off or not a {path.suffix} file ({reason[:120]})") from None


class _NumpyArrays:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive = np.load(path, allow_pickle=False)
        if not isinstance(self._archive, np.lib.npyio.NpzFile):
            raise fault(path, "holds one array without a name: save it with numpy.savez")
        self.names = tuple(self._archive.files)
        self._read: dict[str, np.ndarray] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        return self._whole(name).shape

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        whole = self._whole(name)
        return whole[start:stop] if whole.ndim else whole

    def _whole(self, name: str) -> np.ndarray:
        if name not in self._read:
            with _readable(self.path):
                self._read[name] = np.asarray(self._archive[name])  # bytes, where an entry is no array
        return self._read[name]


class _MatlabArrays:
    """MATLAB v5, through SciPy; only numbers and texts are looked at."""

    _CLASSES = frozenset({"double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
                          "logical", "char"})

    def __init__(self, path: Path) -> None:
        from scipy.io import whosmat

        self.path = path
        self._shapes = {name: shape for name, shape, kind in whosmat(str(path)) if kind in self._CLASSES}
        self.names = tuple(self._shapes)
        self._read: dict[str, np.ndarray] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._shapes[name])

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        from scipy.io import loadmat

        if name not in self._read:
            with _readable(self.path):
                self._read[name] = loadmat(str(self.path), variable_names=[name])[name]
        return self._read[name][start:stop]


class _Hdf5Arrays:
    """HDF5; MATLAB v7.3 is HDF5 with axes reversed and complex numbers as pairs ``real``, ``imag``."""

    def __init__(self, path: Path) -> None:
        import h5py

        self.path = path
        self._file = h5py.File(path, "r", locking="best-effort")  # some cluster file systems have no locks
        self._reversed = path.suffix == ".mat"
        names: list[str] = []
        self._file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        self.names = tuple(name for name in names if not name.startswith("#refs#"))

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self._file[name].shape
        return shape[::-1] if self._reversed else shape

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        with _readable(self.path):
            data = self._file[name]
            if data.ndim == 0:
                return np.asarray(data[()])
            if not self._reversed:
                return data[start:stop]
            # the first axis is the last one in the file; pairs of doubles go through in a few slabs
            slab = -(-len(data) // 8) if data.ndim > 2 else len(data)
            parts = [_complex(data[at:at + slab, ..., start:stop] if data.ndim > 1 else data[start:stop])
                     for at in (range(0, len(data), slab) if data.ndim > 1 else [0])]
            return np.concatenate(parts).T


def _complex(pairs: np.ndarray) -> np.ndarray:
    if pairs.dtype.names and set(pairs.dtype.names) == {"real", "imag"}:
        values = np.empty(pairs.shape, np.complex64)
        values.real, values.imag = pairs["real"], pairs["imag"]
        return values
    return pairs


def _is_hdf5(path: Path) -> bool:
    """MATLAB v7.3 puts 512 bytes of its own before the HDF5 signature."""
    with path.open("rb") as file:
        head = file.read(520)
    return b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520])


def text_of(array: Any) -> str:
    """The text that an array of bytes, characters or numbers of UTF-8 holds, however a container keeps it.

    :raises ValueError: not a text.
    """
    array = np.asarray(array)
    if array.dtype.kind in "iu":
        return bytes(array.ravel().astype(np.uint8)).decode()
    item = array.ravel()[0]
    return item.decode() if isinstance(item, bytes) else str(item)
