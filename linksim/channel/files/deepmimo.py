"""DeepMIMO v4 arrays, saved by ``numpy.savez(file, channel=dataset.channel, rx_pos=dataset.rx_pos, …)`` or ``savemat``.

``channel`` is complex ``[user, rx_ant, tx_ant, subcarrier]``, with ``[…, time]`` where several times were generated;
``rx_pos`` ``[user, 3]`` m; ``los`` ``[user]`` (1 line of sight, 0 none, -1 no path); path parameters ``[user, path]``,
NaN where unused: ``power`` (dBW), ``phase`` and angles (degrees; elevation from the zenith), ``delay`` (s). Source: the
conventions page and array names of DeepMIMO v4 (github.com/DeepMIMO/DeepMIMO, docs/resources/conventions.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from linksim.channel.files.arrays import Arrays, numeric, open_arrays, require
from linksim.channel.files.reader import Header, Samples, fault, single

PATHS = ("power", "phase", "delay", "aoa_az", "aoa_el", "aod_az", "aod_el")
_AXES = "[user, rx_ant, tx_ant, subcarrier] (and time)"


def open_deepmimo(path: Path) -> DeepMimoReader:
    """Open a file of DeepMIMO arrays.

    :raises ScenarioError: no ``channel``, or arrays that do not fit together.
    """
    return DeepMimoReader(open_arrays(path))


class DeepMimoReader:
    """Users that have a path, in the file's order; the base station transmits."""

    def __init__(self, arrays: Arrays) -> None:
        shape = require(arrays, "channel", (4, 5), _AXES)
        channel = numeric(arrays, "channel", arrays.read("channel"))
        if channel.dtype.kind != "c":
            raise fault(arrays.path, f"channel holds {channel.dtype}, but complex numbers are needed")
        channel = channel.reshape(shape if len(shape) == 5 else (*shape, 1))
        # users without any path would have no gain to normalise by; what is not finite is reported when it is met
        active = np.flatnonzero(channel.reshape(shape[0], -1).any(axis=1))
        if not len(active):
            raise fault(arrays.path, "channel is zero for every user")
        self._h = single(np.moveaxis(channel[active], -1, -2))[:, None]
        self._rx_pos = _per_user(arrays, "rx_pos", active, shape[0], 3)
        self._los = _per_user(arrays, "los", active, shape[0])
        self._paths = {name: array for name in PATHS
                       if (array := _per_user(arrays, name, active, shape[0], -1)) is not None}
        times = self._h.shape[-2]
        left_out = shape[0] - len(active)
        self.header = Header(
            title=f"deepmimo file {arrays.path}", num_items=len(active), num_bs_antennas=shape[2],
            facts={"num_subcarriers": shape[3], "ue_array.num_antennas": shape[1]},
            needed=("carrier_frequency_ghz", *["subcarrier_spacing_khz"] * (shape[3] > 1),
                    *["csi_period_ms"] * (times > 1)),
            num_times=times, duplex=("tdd",), antenna_order=("polarization", "row", "column"),
            notes=(f"{arrays.path.name}: {left_out} of {shape[0]} users have no path and are left out",)
            * bool(left_out),
            item="user", numbers=active,
        )

    def read(self, start: int, stop: int) -> Samples:
        return Samples(
            stretch=self._h[start:stop],
            line_of_sight=None if self._los is None else self._los[start:stop, None] == 1,
            position_user_m=None if self._rx_pos is None else self._rx_pos[start:stop, None],
            paths={name: array[start:stop] for name, array in self._paths.items()},
        )


def _per_user(arrays: Arrays, name: str, active: np.ndarray, num_users: int, width: int | None = None
              ) -> np.ndarray | None:
    """An optional array with one row (or value) per user, of the users that are kept."""
    if name not in arrays.names:
        return None
    array = numeric(arrays, name, arrays.read(name))
    if width is None or array.ndim == 1:
        array = array.ravel()  # MATLAB makes a row or a column of a vector
    if width == -1:
        width = array.size // num_users
    wanted = (num_users,) if width is None else (num_users, width)
    if array.size != np.prod(wanted):
        raise fault(arrays.path, f"{name} has shape {list(array.shape)}, but channel has {num_users} users: "
                                 f"{list(wanted)} is needed")
    return array.reshape(wanted)[active]
