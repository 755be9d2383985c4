"""The COST2100 set of the CsiNet line: ``DATA_Htestin.mat`` and its relatives, one channel snapshot per row.

``HT``, real ``[sample, 2 * 32 * 32]``: real and imaginary part, 32 spatial values, the first 32 delays; values in
[0, 1] with zero at 0.5. ``HF_all`` (``DATA_HtestFin_all.mat``), complex ``[sample, 32 * 125]``: 32 spatial values, 125
tones. Sets made alike with another number of antennas have that many spatial values, of 32 delays or 125 tones each.
Source: Wen, Shih and Jin, Deep Learning for Massive MIMO CSI Feedback, 2018, and its published evaluation, which
pads the 32 delays to 257, takes a forward FFT and compares the first 125 tones with ``HF_all`` entry by entry: so the
spatial axis of both files is the same one, and tones are spaced by 1/257 of the sampling rate.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from linksim.channel.files.arrays import Arrays, numeric, open_arrays, require
from linksim.channel.files.reader import Header, Samples, fault, single

NUM_ANTENNAS, NUM_DELAYS = 32, 32
_OFFSET = 0.5
_BANDWIDTH_KHZ = 20e3
_FFT_SIZE = {125: 257, 1024: 1024}
"""Length of the FFT over delays by number of tones kept."""
_CARRIERS_GHZ = {"in": 5.3, "out": 0.3}


def open_cost2100(path: Path, tones: int, spatial_domain: str) -> Cost2100Reader:
    """Open one of the files.

    :param tones: that the delay window becomes; ``HF_all`` has 125.
    :param spatial_domain: ``angle``: the 32 spatial values are beams, transformed back to antennas.
    :raises ScenarioError: neither ``HT`` nor ``HF_all``, or of another shape.
    """
    return Cost2100Reader(open_arrays(path), tones, spatial_domain)


class Cost2100Reader:
    """One sample is one user seen once."""

    def __init__(self, arrays: Arrays, tones: int, spatial_domain: str) -> None:
        self._arrays, self._tones, self._angle = arrays, tones, spatial_domain == "angle"
        self._name = "HF_all" if "HF_all" in arrays.names else "HT"
        width = 125 if self._name == "HF_all" else 2 * NUM_DELAYS
        what = f"[sample, antennas x {width}]"
        shape = require(arrays, self._name, 2, what)
        self._antennas = shape[1] // width
        if shape[1] % width or not self._antennas:
            raise fault(arrays.path, f"{self._name} has shape {list(shape)}, but {what} is needed")
        if self._name == "HF_all" and tones != 125:
            raise fault(arrays.path, "HF_all holds 125 tones: channel.files.tones must be 125")
        place = re.search(r"DATA_H[a-z]+F?(in|out)", arrays.path.name)
        carrier = {"carrier_frequency_ghz": _CARRIERS_GHZ[place[1]]} if place else {}
        self.header = Header(
            title=f"cost2100 file {arrays.path}", num_items=shape[0], num_bs_antennas=self._antennas,
            facts={"num_subcarriers": tones, "ue_array.num_antennas": 1, "bs_array.rows": 1,
                   "bs_array.columns": self._antennas, "bs_array.polarization": "single"},
            assumed={**carrier, "subcarrier_spacing_khz": _BANDWIDTH_KHZ / _FFT_SIZE[tones]},
            needed=() if place else ("carrier_frequency_ghz",), num_times=1, duplex=("tdd",),
            notes=(f"{arrays.path.name}: taken for {self._antennas} antennas of {width} values each",)
            * (self._antennas != NUM_ANTENNAS), item="sample",
        )

    def read(self, start: int, stop: int) -> Samples:
        values = numeric(self._arrays, self._name, self._arrays.read(self._name, start, stop))
        if self._name == "HT" and values.dtype.kind == "c":
            raise fault(self._arrays.path, f"HT holds {values.dtype}, but real and imaginary parts side by side are "
                                           "needed")
        h = angle_delay_to_tones(values, self._tones) if self._name == "HT" \
            else values.reshape(-1, self._antennas, 125)
        if self._angle:
            h = beams_to_antennas(h)
        return Samples(stretch=single(h)[:, None, None, :, None, :])


def angle_delay_to_tones(values: np.ndarray, tones: int) -> np.ndarray:
    """``HT`` rows as complex ``[sample, spatial value, tone]``: offset undone, zeros for the delays cut off, FFT."""
    antennas = values.shape[1] // (2 * NUM_DELAYS)
    real, imaginary = np.moveaxis(values.reshape(-1, 2, antennas, NUM_DELAYS).astype(np.float64) - _OFFSET, 1, 0)
    return np.fft.fft(real + 1j * imaginary, _FFT_SIZE[tones], axis=-1)[..., :tones]


def beams_to_antennas(h: np.ndarray) -> np.ndarray:
    """``[sample, beam, …]`` to ``[sample, antenna, …]``: the set's beams are H F^H with F the unitary DFT matrix."""
    return np.fft.fft(h, axis=1, norm="ortho")
