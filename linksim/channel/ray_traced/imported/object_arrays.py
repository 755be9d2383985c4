"""NumPy files that hold Python objects, read without running anything that they hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from linksim.core.errors import ScenarioError

_NEEDED = {
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
}
"""All that arrays and numbers in a pickle call for."""


class _ArraysAlone(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NEEDED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, but arrays alone are read")
        return super().find_class(module, name)


def read_objects(path: Path) -> Any:
    """What a .npy file holds: an array, or the one object in it (a dict of arrays).

    Objects lie in a .npy file as a pickle, which may name any function to be called; one that names another than those
    which put arrays together is refused.

    :raises ScenarioError: missing, damaged, or more than arrays, numbers, texts, lists and dicts.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            shape, _, dtype = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                               else np.lib.format.read_array_header_2_0)(file)
            if not dtype.hasobject:
                file.seek(0)
                return np.load(file, allow_pickle=False)
            array = np.asarray(_ArraysAlone(file).load(), dtype=object).reshape(shape)
    except FileNotFoundError:
        raise ScenarioError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, ImportError, AttributeError, IndexError, TypeError, KeyError,
            pickle.UnpicklingError) as error:
        raise ScenarioError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    return array.item() if array.ndim == 0 else array
