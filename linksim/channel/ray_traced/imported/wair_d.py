"""WAIR-D: traced areas, a numbered folder for each.

An area's folder holds ``Info.npy`` (width and height of the area, then a row of bs_x, bs_y, ue_x, ue_y for each link,
m, all terminals of the first base station before those of the next), ``Path.npy`` (by link, ``bs0_ue00001``: ``taud``
in ns, ``dod`` and ``doa`` ``[path, 2]``, zenith and azimuth, radian), ``H_<GHz>_G.npy`` (by link: complex gains of the
paths between isotropic antennas) and a picture of the buildings. Base stations stand 6 m high, terminals 1.5 m.

Source: Huangfu et al., "WAIR-D: Wireless AI Research Dataset", arXiv:2212.02159, and the files' names there. How high
buildings are it does not say.
"""

from __future__ import annotations

import math
import pickle
import re
from dataclasses import dataclass
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


BS_HEIGHT_M, TERMINAL_HEIGHT_M = 6.0, 1.5
BUILDING_HEIGHT_M = 20.0
"""Taken for every building: the picture shows where they stand alone."""

_LINK = re.compile(r"bs0*(\d+)_ue0*(\d+)")
_GAINS = re.compile(r"H_(\d+(?:[._]\d+)?)G?_G\.npy")


@dataclass(frozen=True, eq=False)
class Links:
    """Links of a base station that have a path.

    :param bs_m: ``[2]``; ``terminal_m``, ``[terminal, 2]``, in the area's axes.
    :param paths: of every terminal: gain (complex, ``[path]``), delay (s), departure and arrival (``[path, 2]``).
    :param without_path: terminals left out.
    """

    bs_m: np.ndarray
    terminal_m: np.ndarray
    paths: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
    without_path: int


def area_folder(folder: Path, number: int) -> Path:
    """The folder of an area.

    :raises ScenarioError: there is none of that number.
    """
    found = [path for path in folder.iterdir() if path.name.isdigit() and int(path.name) == number]
    if not found:
        numbers = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
        known = (f"they go from {numbers[0]} to {numbers[-1]}" if numbers
                 else "WAIR-D has a numbered folder for each area")
        raise ScenarioError(f"channel.ray_traced.scene: {folder} has no area {number}: {known}")
    return found[0]


def read_links(area: Path, base_station: int, carrier_ghz: float) -> Links:
    """Links of one of an area's base stations.

    :raises ScenarioError: missing or damaged files, no gains at that carrier, no such base station.
    """
    paths, gains = read_objects(area / "Path.npy"), read_objects(_gains_at(area, carrier_ghz))
    _, rows = read_info(area)
    names = sorted((int(match[1]), int(match[2]), name) for name in _links(area / "Path.npy", paths)
                   if (match := _LINK.fullmatch(name)))
    if len(names) != len(rows):
        raise ScenarioError(f"{area}: Path.npy has {len(names)} links, but Info.npy places of {len(rows)}")
    mine = [(row, name) for row, (station, _, name) in zip(rows, names, strict=True) if station == base_station]
    if not mine:
        raise ScenarioError(f"channel.ray_traced.base_station: {area} has {names[-1][0] + 1} base stations, "
                            f"counted from 0, so none of number {base_station}")
    kept, places = [], []
    for row, name in mine:
        link = _path_of(area, name, paths, gains)
        if len(link[0]):
            kept.append(link)
            places.append(row[2:])
    return Links(mine[0][0][:2], np.array(places).reshape(-1, 2), kept, len(mine) - len(kept))


def building_heights(area: Path) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Heights over the area, ``[row, column]`` from its origin (rows to y, columns to x), and its width and height, m;
    nothing where it has no picture.

    What is ground is told by where terminals stand: its colour, and whether rows lead up or down.

    :raises ScenarioError: the picture cannot be read.
    """
    pictures = sorted(area.glob("*.png"))
    if not pictures:
        return None
    from PIL import Image  # optional

    try:
        with Image.open(pictures[0]) as picture:
            seen = np.asarray(picture.convert("L"), dtype=float)
    except OSError as error:
        raise ScenarioError(f"{pictures[0]}: cannot be read: {error}") from None
    size, rows = read_info(area)
    light = seen > (seen.min() + seen.max()) / 2
    at = np.clip((rows[:, 2:] / size * light.shape[::-1]).astype(int), 0, np.array(light.shape[::-1]) - 1)
    either = [light, light[::-1]]
    share = [one[at[:, 1], at[:, 0]].mean() for one in either]
    best = int(np.argmax([max(part, 1 - part) for part in share]))
    ground = either[best] if share[best] >= 0.5 else ~either[best]
    return np.where(ground, 0.0, BUILDING_HEIGHT_M), (float(size[0]), float(size[1]))


def read_info(area: Path) -> tuple[np.ndarray, np.ndarray]:
    """Width and height of an area, ``[2]``, and a row bs_x, bs_y, ue_x, ue_y for each link, ``[link, 4]``, m.

    :raises ScenarioError: missing or damaged.
    """
    info = read_objects(area / "Info.npy")
    try:
        if isinstance(info, np.ndarray) and info.ndim == 2 and info.shape[1] == 4:
            size, rows = _real(info[0, :2]), _real(info[1:])
        else:
            flat = np.concatenate([np.ravel(_real(part)) for part in info])
            size, rows = flat[:2], flat[2:].reshape(-1, 4)
        if not len(rows) or not np.isfinite(rows).all() or not (size > 0).all():
            raise ValueError
    except (ValueError, TypeError, IndexError):
        raise ScenarioError(f"{area / 'Info.npy'}: width and height, then bs_x, bs_y, ue_x, ue_y of each link are "
                            "needed") from None
    return size, rows


def _gains_at(area: Path, carrier_ghz: float) -> Path:
    files = {float(match[1].replace("_", ".")): path for path in sorted(area.glob("H_*.npy"))
             if (match := _GAINS.fullmatch(path.name))}
    for known, path in files.items():
        if math.isclose(known, carrier_ghz):
            return path
    known = ", ".join(f"{one:g}" for one in sorted(files)) or "none"
    raise ScenarioError(f"channel.carrier_frequency_ghz: {area} has gains (H_<GHz>_G.npy) at {known} GHz, not at "
                        f"{carrier_ghz:g}")


def _links(path: Path, held: Any) -> dict[str, Any]:
    if not isinstance(held, dict) or not all(isinstance(name, str) for name in held):
        raise ScenarioError(f"{path}: a dict of links (bs0_ue00001, …) is needed")
    return held


def _path_of(area: Path, name: str, paths: dict[str, Any], gains: Any
             ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    of_link = _links(area / "H", gains).get(name)
    try:
        gain = np.ravel(np.asarray(of_link, dtype=complex))
        delay = np.ravel(_real(paths[name]["taud"])) * 1e-9
        departure, arrival = (_real(paths[name][key]).reshape(-1, 2) for key in ("dod", "doa"))
        if not len(gain) == len(delay) == len(departure) == len(arrival) or of_link is None:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ScenarioError(f"{area}: {name}: as many gains, delays (taud), departures (dod) and arrivals (doa) are "
                            "needed") from None
    used = gain != 0
    return gain[used], delay[used], departure[used], arrival[used]


def _real(values: Any) -> np.ndarray:
    """As float64.

    :raises ValueError: not numbers, or complex ones.
    """
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise ValueError("complex numbers")
    return array.astype(float)
