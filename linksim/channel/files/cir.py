"""Channel impulse responses in Sionna's layout: ``a`` and ``tau`` in .npz, HDF5 or .mat.

``a`` is complex ``[sample, rx, rx_ant, tx, tx_ant, path, time]``, ``tau`` ``[sample, rx, tx, path]`` in seconds, or
``[sample, rx, rx_ant, tx, tx_ant, path]`` where every antenna has its own delays. Coefficients refer to the carrier.
Source: the documentation of `sionna.phy.channel.CIRDataset` and `sionna.phy.channel.cir_to_ofdm_channel`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from linksim.channel.files.arrays import Arrays, numeric, open_arrays, require
from linksim.channel.files.reader import Header, Samples, fault, single

A_AXES = "[sample, rx, rx_ant, tx, tx_ant, path, time]"
TAU_AXES = "[sample, rx, tx, path] (or [sample, rx, rx_ant, tx, tx_ant, path])"


def open_cir(path: Path, direction: str) -> CirReader:
    """Open a file of impulse responses.

    :param direction: ``downlink``: the transmitter is the base station.
    :raises ScenarioError: arrays missing or of other shapes.
    """
    return CirReader(open_arrays(path), direction)


class CirReader:
    """One sample is one drop: its receivers (transmitters in the uplink) are the users. Single ones can be grouped."""

    def __init__(self, arrays: Arrays, direction: str) -> None:
        self._arrays, self._direction = arrays, direction
        a = require(arrays, "a", 7, A_AXES)
        tau = require(arrays, "tau", (4, 6), TAU_AXES)
        self._shapes = {"a": a, "tau": tau}
        users, ue_ant, base_stations, bs_ant = sizes(a, direction)
        check_shapes(arrays.path, a, tau, base_stations)
        self.header = Header(
            title=f"cir file {arrays.path}", num_items=a[0], num_bs_antennas=bs_ant,
            facts={**({"num_users": users} if users > 1 else {}), "ue_array.num_antennas": ue_ant},
            needed=("carrier_frequency_ghz", *["csi_period_ms"] * (a[6] > 1)),
            num_times=a[6], duplex=("tdd", "fdd_adjacent"), item="sample",
        )

    def read(self, start: int, stop: int) -> Samples:
        a, tau = (self._part(name, start, stop) for name in ("a", "tau"))
        if tau.dtype.kind == "c":
            raise fault(self._arrays.path, f"tau holds {tau.dtype}, but seconds are needed")
        return Samples(**by_user(a, tau, self._direction))

    def _part(self, name: str, start: int, stop: int) -> np.ndarray:
        part = numeric(self._arrays, name, self._arrays.read(name, start, stop))
        return part.reshape(-1, *self._shapes[name][1:])


def sizes(a: tuple[int, ...], direction: str) -> tuple[int, int, int, int]:
    """Users, antennas of each, base stations and antennas of each, from the shape of ``a``."""
    receiver, transmitter = a[1:3], a[3:5]
    return (*receiver, *transmitter) if direction == "downlink" else (*transmitter, *receiver)


def check_shapes(place: Any, a: tuple[int, ...], tau: tuple[int, ...], base_stations: int) -> None:
    """Whether coefficients and delays fit together and come from one base station.

    :raises ScenarioError: they do not; names both shapes.
    """
    if tau not in ((a[0], a[1], a[3], a[5]), a[:6]):
        raise fault(place, f"a {list(a)} and tau {list(tau)} do not fit together: a is {A_AXES}, tau {TAU_AXES}")
    if base_stations != 1:
        raise fault(place, f"holds {base_stations} base stations, but a drop has one: save them apart (or set "
                           "channel.files.direction)")


def by_user(a: np.ndarray, tau: np.ndarray, direction: str) -> dict[str, np.ndarray]:
    """Sionna's axes in this project's order.

    :returns: ``gains`` ``[sample, user, ue_ant, bs_ant, path, time]``, and ``delays_s`` ``[sample, user, path]`` or
        ``[sample, user, ue_ant, bs_ant, path]``.
    """
    if tau.ndim == 4:
        tau = tau[:, :, None, :, None]
    if direction == "uplink":
        a, tau = a.transpose(0, 3, 4, 1, 2, 5, 6), tau.transpose(0, 3, 4, 1, 2, 5)
    gains = single(a[:, :, :, 0])
    delays_s = tau[:, :, :, 0].astype(np.float64)
    used = gains.any(-1)
    if delays_s.shape[2:4] == (1, 1) and used.shape[2:4] != (1, 1):
        used = used.any((2, 3), keepdims=True)
    # what fills up a drop's paths has no gain, and any delay: often NaN
    delays_s = np.where(used, delays_s, 0.0)
    return {"gains": gains, "delays_s": delays_s[:, :, 0, 0] if delays_s.shape[2:4] == (1, 1) else delays_s}
