"""Named arrays in a file, whatever its container and however it keeps complex numbers and groups."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from linksim.channel.files.containers import Container, open_container
from linksim.channel.files.reader import fault
from linksim.core.messages import suggestion

SUFFIXES = (".h5", ".hdf5", ".npz", ".mat")

_PARTS = re.compile(r"(?P<name>.+?)[_/.](?P<part>real|imag|re|im|r|i)")
"""An array that holds one part of complex numbers: ``a_real``, ``a/re``, ``a.i``."""

_OTHER_PART = {"real": "imag", "re": "im", "r": "i"}


class Arrays:
    """Arrays by name.

    Two arrays that hold real and imaginary parts (``a_real`` and ``a_imag``; ``_re``, ``_im``; ``_r``, ``_i``; in a
    group or structure of that name) are one complex array, ``a``. An array within groups or structures is also known by
    the last part of its name, where no other one has it.

    :param path: the file.
    :param names: of the arrays, those of the file first.
    """

    def __init__(self, container: Container) -> None:
        self.path, self.others = container.path, container.others
        self._container = container
        self._pairs = _pairs(container.names)
        whole = [*container.names, *self._pairs]
        last = Counter(re.split(r"[/.]", name)[-1] for name in whole)
        self._aliases = {short: name for name in whole
                         if last[short := re.split(r"[/.]", name)[-1]] == 1 and short != name}
        self.names = tuple(dict.fromkeys([*whole, *self._aliases]))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, without reading it where the container allows."""
        name = self._aliases.get(name, name)
        return self._container.shape(self._pairs[name][0] if name in self._pairs else name)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Part of an array along its first axis, in this machine's byte order, floats of 32 or 64 bits.

        :raises ScenarioError: damaged, larger than the memory, or parts that differ in shape.
        """
        name = self._aliases.get(name, name)
        if name not in self._pairs:
            return _native(self._container.read(name, start, stop))
        real, imaginary = (_native(self._container.read(part, start, stop)) for part in self._pairs[name])
        if real.shape != imaginary.shape or real.dtype.kind not in "biuf" or imaginary.dtype.kind not in "biuf":
            raise fault(self.path, f"{self._pairs[name][0]} {list(real.shape)} and {self._pairs[name][1]} "
                                   f"{list(imaginary.shape)} are not real and imaginary part of one array")
        found = np.empty(real.shape, np.complex64)
        found.real, found.imag = real, imaginary
        return found

    def listed(self) -> str:
        """What the file holds, in words."""
        held = [*(name for name in self.names if name not in self._aliases),
                *(f"{name} ({kind})" for name, kind in self.others.items())]
        return ", ".join(held[:8]) + (", …" if len(held) > 8 else "") if held else "no arrays"


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
    return Arrays(open_container(path))


def require(arrays: Arrays, name: str, ndim: int | tuple[int, ...], what: str) -> tuple[int, ...]:
    """Shape of an array that must be there, with trailing axes of length 1 put back where MATLAB drops them.

    :param ndim: axes it must have.
    :param what: its axes in words, for the message.
    :raises ScenarioError: no such array (names the nearest), or another number of axes.
    """
    if name not in arrays.names:
        near = suggestion(name, arrays.names) if arrays.names else f"it holds {arrays.listed()}"
        raise fault(arrays.path, f"no array {name!r}: {near}")
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


def text_of(array: Any) -> str:
    """The text that an array of bytes, characters or numbers of UTF-8 holds, however a container keeps it.

    :raises ValueError: not a text.
    """
    array = np.asarray(array)
    if array.dtype.kind in "iu":
        return bytes(array.ravel().astype(np.uint8)).decode()
    item = array.ravel()[0]
    return item.decode() if isinstance(item, bytes) else str(item)


def _pairs(names: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Complex arrays that lie in two, by the name that both begin with."""
    found = {}
    for name in names:
        match = _PARTS.fullmatch(name)
        if match is None or match["part"] not in _OTHER_PART or match["name"] in names:
            continue
        other = name[:-len(match["part"])] + _OTHER_PART[match["part"]]
        if other in names:
            found[match["name"]] = (name, other)
    return found


def _native(array: np.ndarray) -> np.ndarray:
    """In this machine's byte order; half and extended precision as torch and most files have it."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and size not in (4, 8):
        return array.astype(np.float32 if size < 4 else np.float64)
    if kind == "c" and size not in (8, 16):
        return array.astype(np.complex128)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
