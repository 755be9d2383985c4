"""DeepMIMO path parameters: traced paths of one base station's users, as arrays in one file.

``rx_pos`` ``[user, 3]`` and ``tx_pos`` ``[3]`` (m); by user and path, NaN where unused: ``power`` (dBW for 0 dBW sent
between isotropic antennas), ``phase``, ``aoa_az``, ``aoa_el``, ``aod_az``, ``aod_el`` (degrees; elevation from the
zenith), ``delay`` (s); ``los`` ``[user]`` (1: line of sight), without which a path as long as the straight line is
taken for it. Saved by
``numpy.savez(file, rx_pos=dataset.rx_pos, tx_pos=dataset.tx_pos, power=dataset.power, …)``.

Source: conventions of DeepMIMO v4 (github.com/DeepMIMO/DeepMIMO, docs/resources/conventions.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from linksim.channel.files.arrays import Arrays, numeric, open_arrays, require
from linksim.channel.files.reader import fault

_PATHS = ("power", "phase", "delay", "aod_el", "aod_az", "aoa_el", "aoa_az")


def read_deepmimo(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name, each with one row per user; ``tx_pos`` ``[3]``, ``los`` ``[user]`` or absent.

    :raises ScenarioError: arrays that are missing or do not fit together.
    """
    arrays = open_arrays(path)
    num_users = require(arrays, "rx_pos", 2, "[user, 3]")[0]
    found = {"rx_pos": _numbers(arrays, "rx_pos"), "tx_pos": _numbers(arrays, "tx_pos").ravel()}
    if found["rx_pos"].shape[1] != 3 or found["tx_pos"].size != 3:
        raise fault(path, "rx_pos [user, 3] and tx_pos [3] are needed: one base station at a time")
    for name in ("rx_pos", "tx_pos"):
        if not np.isfinite(found[name]).all():
            raise fault(path, f"{name} has places that are not finite")
    shape = require(arrays, "power", 2, "[user, path]")
    for name in _PATHS:
        found[name] = _numbers(arrays, name)
        if found[name].shape != shape or shape[0] != num_users:
            raise fault(path, f"{name} has shape {list(found[name].shape)}, but rx_pos has {num_users} users and power "
                              f"{shape[1]} paths: {[num_users, shape[1]]} is needed")
    if "los" in arrays.names:
        found["los"] = _numbers(arrays, "los").ravel()
        if found["los"].size != num_users:
            raise fault(path, f"los has {found['los'].size} values, but rx_pos has {num_users} users")
    return found


def _numbers(arrays: Arrays, name: str) -> np.ndarray:
    require(arrays, name, (1, 2), "numbers of users")
    values = numeric(arrays, name, arrays.read(name))
    if values.dtype.kind == "c":
        raise fault(arrays.path, f"{name} holds {values.dtype}, but real numbers are needed")
    return values.astype(float)
