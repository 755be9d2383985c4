"""LLM4CP's published set: one MATLAB file per variable, in a folder.

``H_U_his_<split>``, ``H_U_pre_<split>`` (uplink) and ``H_D_pre_<split>`` (downlink), split ``train`` or ``test``, each
complex ``[speed, user, time, subcarrier, column, row, polarization]``. Source: the data loader and the QuaDRiGa
script of github.com/liuboxun/LLM4CP; there 16 + 4 samples every 0.5 ms, 48 tones of 180 kHz per band out of 96 of one
response at 2.4 GHz, a 4x4 dual-polarised panel, terminals with one antenna.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from linksim.channel.drops import Drops
from linksim.channel.files.arrays import numeric, open_arrays, require
from linksim.channel.files.linksim_layout import Key
from linksim.channel.files.reader import Header, Samples, fault, single
from linksim.channel.files.writing import MATLAB_LIMIT_BYTES
from linksim.core.errors import LinksimError

HISTORY, UPLINK, DOWNLINK = "H_U_his", "H_U_pre", "H_D_pre"
_AXES = "[speed, user, time, subcarrier, column, row, polarization]"
_PUBLISHED = {
    "carrier_frequency_ghz": 2.4, "subcarrier_spacing_khz": 180.0, "csi_period_ms": 0.5, "model": "uma", "los": "nlos",
}
_SPEEDS = {10: [10.0 * n for n in range(1, 11)], 900: [round(10 + 0.1 * n, 1) for n in range(1, 901)]}
"""Speeds of the published test and training sets, km/h."""


def open_llm4cp(path: Path, speeds_kmh: tuple[float, ...], training: bool = False) -> Llm4cpReader:
    """Open a folder of the set.

    :param speeds_kmh: of the first axis; the published ones if empty.
    :param training: prefer the files ``…_train`` where the folder holds both splits.
    :raises ScenarioError: files missing, of other names or shapes.
    """
    if not path.is_dir():
        raise fault(path, "the llm4cp layout is a folder of H_U_his_test.mat, H_U_pre_test.mat, … : name the folder")
    split = _split(path, training)
    if split is None:
        raise fault(path, f"holds neither {HISTORY}_test.mat nor {HISTORY}_train.mat")
    return Llm4cpReader(path, speeds_kmh, split)


def variable_files(path: Path, training: bool = False) -> list[Path]:
    """The files of a split that are there; none in a folder of something else."""
    split = _split(path, training)
    return [file for name in (HISTORY, UPLINK, DOWNLINK) if (file := path / f"{name}_{split}.mat").is_file()]


class Llm4cpReader:
    """Users of all speeds; items go over the speeds first, so that any few of them see all speeds.

    Variables are read whole: MATLAB stores the speeds innermost.
    """

    def __init__(self, path: Path, speeds_kmh: tuple[float, ...], split: str) -> None:
        self._arrays, shapes = {}, {}
        for name in (HISTORY, UPLINK, DOWNLINK):
            file = path / f"{name}_{split}.mat"
            if file.is_file():
                self._arrays[name] = open_arrays(file)
                shapes[name] = require(self._arrays[name], f"{name}_{split}", 7, _AXES)
        self._split = split
        self._read: dict[str, np.ndarray] = {}
        if HISTORY not in shapes or len(shapes) == 1:
            raise fault(path, f"{HISTORY}_{split}.mat and {UPLINK}_{split}.mat or {DOWNLINK}_{split}.mat are needed")
        history = shapes[HISTORY]
        for name, shape in shapes.items():
            if shape[:2] != history[:2] or shape[3:] != history[3:]:
                raise fault(path, f"{name} {list(shape)} and {HISTORY} {list(history)} differ in more than time")
        num_speeds, num_users, times, tones, columns, rows, polarizations = history
        if polarizations > 2:
            raise fault(path, f"{HISTORY} has {polarizations} polarizations, but {_AXES} is needed")
        speeds = list(speeds_kmh) or _SPEEDS.get(num_speeds, [])
        if num_speeds > 1 and len(speeds) != num_speeds:
            raise fault(path, f"holds {num_speeds} speeds: name them in channel.files.speeds_kmh"
                              + f" ({len(speeds)} given)" * bool(speeds))
        futures = [shape[2] for name, shape in shapes.items() if name != HISTORY]
        item = np.arange(num_speeds * num_users)
        self.header = Header(
            title=f"llm4cp set {path}", num_items=len(item), num_bs_antennas=columns * rows * polarizations,
            facts={"num_subcarriers": tones, "ue_array.num_antennas": 1, "bs_array.columns": columns,
                   "bs_array.rows": rows, "bs_array.polarization": ("single", "dual")[polarizations - 1]},
            assumed={**_PUBLISHED, "duplex": "tdd" if UPLINK in shapes else "fdd_adjacent"},
            max_history=times, max_future=min(futures), antenna_order=("column", "row", "polarization"),
            duplex=("tdd",) * (UPLINK in shapes)
            + ("fdd_adjacent", "fdd_gapped_coherent", "fdd_gapped_independent") * (DOWNLINK in shapes),
            points=tuple({"speed_kmh": speed} for speed in speeds) if num_speeds > 1 or speeds else ({},),
            point_of_item=item % num_speeds, item="item",
        )

    def read(self, start: int, stop: int) -> Samples:
        speed = [point.get("speed_kmh") for point in self.header.points]
        return Samples(history=self._items(HISTORY, start, stop), uplink_future=self._items(UPLINK, start, stop),
                       downlink_future=self._items(DOWNLINK, start, stop),
                       speed_kmh=None if None in speed else np.array(speed)[self.header.point_of_item[start:stop]])

    def _items(self, name: str, start: int, stop: int) -> np.ndarray | None:
        if name not in self._arrays:
            return None
        if name not in self._read:
            arrays, variable = self._arrays[name], f"{name}_{self._split}"
            whole = numeric(arrays, variable, arrays.read(variable))
            whole = whole.reshape(whole.shape + (1,) * (7 - whole.ndim))
            self._read[name] = single(whole)
        user, speed = np.divmod(np.arange(start, stop), self._read[name].shape[0])
        part = self._read[name][speed, user]  # [item, time, subcarrier, column, row, polarization]
        return np.moveaxis(part.reshape(*part.shape[:3], -1), 3, 1)[:, None, None]


def _split(path: Path, training: bool) -> str | None:
    found = {match[1] for file in path.iterdir() if (match := re.fullmatch(rf"{HISTORY}_(train|test)\.mat", file.name))}
    wanted = "train" if training else "test"
    return wanted if wanted in found else next(iter(found), None)


class Llm4cpWriter:
    """Collects drops and writes one .mat file (v5) per variable.

    :param folder: to write to; exists.
    :param split: ``train`` or ``test``.
    :param num_points: length of the first axis, which counts the sweep's channel points.
    :param num_drops: of each point.
    """

    def __init__(self, folder: Path, split: str, num_points: int, num_drops: int) -> None:
        self._folder, self._split = folder, split
        self._num_drops = num_points * num_drops
        self._parts: list[dict[str, list[np.ndarray]]] = [{} for _ in range(num_points)]

    def append(self, point: int, drops: Drops, uplink_future: torch.Tensor | None = None) -> None:
        """Add drops of one point; users become neighbours on the second axis."""
        variables = {HISTORY: drops.history.h}
        if torch.equal(drops.future.frequency_hz, drops.history.frequency_hz):
            variables[UPLINK] = drops.future.h
        else:
            variables[DOWNLINK] = drops.future.h
            variables |= {} if uplink_future is None else {UPLINK: uplink_future}
        for name, h in variables.items():
            if h.shape[2] != 1:
                raise LinksimError("the llm4cp layout has no axis for terminal antennas: "
                                   f"channel.ue_array.num_antennas must be 1 (it is {h.shape[2]})")
            size = h[0].nbytes * self._num_drops
            if size >= MATLAB_LIMIT_BYTES:
                raise LinksimError(f"{name} would take {size / 2**30:.1f} GiB, and a variable of a .mat file is "
                                   "smaller than 2 GiB: use --layout linksim with .h5, or fewer drops")
            # [drop, user, 1, bs_ant, time, subcarrier] -> [drop * user, time, subcarrier, column, row, polarization]
            shaped = h.flatten(0, 1)[:, 0].unflatten(1, drops.history.panel.shape).permute(0, 4, 5, 2, 3, 1)
            self._parts[point].setdefault(name, []).append(shaped.cpu().numpy())

    def close(self) -> dict[str, Key]:
        """Write the files.

        :returns: the variables with shapes and types.
        """
        from scipy.io import savemat  # start-up

        keys = {}
        for name in self._parts[0]:
            blocks = [np.concatenate(parts[name]) for parts in self._parts]
            if len({block.shape for block in blocks}) > 1:
                raise LinksimError("the llm4cp layout has one array for all channel points, but sizes are swept")
            whole = np.stack(blocks)
            savemat(str(self._folder / f"{name}_{self._split}.mat"), {f"{name}_{self._split}": whole})
            keys[f"{name}_{self._split}"] = Key(shape=list(whole.shape), dtype=whole.dtype.str, per_drop=False)
        return keys

    def abandon(self) -> None:
        """Let go of what was collected."""
        self._parts.clear()
