"""The same numbers come out of every container, however it keeps complex numbers, groups and bytes."""

from __future__ import annotations

import io
import zipfile

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from linksim.channel.files import containers
from linksim.channel.source import chunk_of_drops

TOLD = {"carrier_frequency_ghz": 3.5, "speed_kmh": 0, "subcarrier_spacing_khz": 30,
        "bs_array": {"rows": 1, "columns": 2, "polarization": "single"}}


def some(dtype=np.complex64):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(4, 1, 2, 3)) + 1j * rng.normal(size=(4, 1, 2, 3))).astype(dtype)


def paired(h, real="real", imaginary="imag", kind="f4"):
    pairs = np.zeros(h.shape, [(real, kind), (imaginary, kind)])
    pairs[real], pairs[imaginary] = h.real, h.imag
    return pairs


def write_h5(path, named, **options):
    with h5py.File(path, "w", **options) as file:
        for name, array in named.items():
            file[name] = array


def write_v73(path, named):
    write_h5(path, {name: array.T for name, array in named.items()}, userblock_size=512)


FORMS = {
    "npz": ("x.npz", lambda path, h: np.savez(path, channel=h)),
    "npz compressed": ("x.npz", lambda path, h: np.savez_compressed(path, channel=h)),
    "npz big-endian": ("x.npz", lambda path, h: np.savez(path, channel=h.astype(">c8"))),
    "npz complex256": ("x.npz", lambda path, h: np.savez(path, channel=h.astype(np.clongdouble))),
    "npz Fortran order": ("x.npz", lambda path, h: np.savez(path, channel=np.asfortranarray(h))),
    "npz record": ("x.npz", lambda path, h: np.savez(path, channel=paired(h))),
    "npz parts": ("x.npz", lambda path, h: np.savez(path, channel_real=h.real, channel_imag=h.imag)),
    "npz half parts": ("x.npz", lambda path, h: np.savez(path, channel_r=h.real.astype(np.float16),
                                                         channel_i=h.imag.astype(np.float16))),
    "h5": ("x.h5", lambda path, h: write_h5(path, {"channel": h})),
    "h5 big-endian": ("x.h5", lambda path, h: write_h5(path, {"channel": paired(h, "r", "i", ">f8")})),
    "h5 compound": ("x.h5", lambda path, h: write_h5(path, {"channel": paired(h)})),
    "h5 compound Re Im": ("x.hdf5", lambda path, h: write_h5(path, {"channel": paired(h, "Re", "Im", "f8")})),
    "h5 parts": ("x.h5", lambda path, h: write_h5(path, {"channel_r": h.real, "channel_i": h.imag})),
    "h5 group of parts": ("x.h5", lambda path, h: write_h5(path, {"channel/real": h.real, "channel/imag": h.imag})),
    "h5 group": ("x.h5", lambda path, h: write_h5(path, {"dataset/channel": h})),
    "mat": ("x.mat", lambda path, h: savemat(path, {"channel": h})),
    "mat compressed": ("x.mat", lambda path, h: savemat(path, {"channel": h}, do_compression=True)),
    "mat structure": ("x.mat", lambda path, h: savemat(path, {"dataset": {"channel": h, "name": "a"}})),
    "mat structure in another": ("x.mat", lambda path, h: savemat(path, {"d": {"inner": {"channel": h}}})),
    "mat parts": ("x.mat", lambda path, h: savemat(path, {"channel_re": h.real, "channel_im": h.imag})),
    "mat structure of parts": ("x.mat", lambda path, h: savemat(path, {"channel": {"real": h.real, "imag": h.imag}})),
    "mat 7.3": ("x.mat", lambda path, h: write_v73(path, {"channel": paired(h, kind="f8")})),
    "mat 7.3 structure": ("x.mat", lambda path, h: write_v73(path, {"dataset/channel": paired(h)})),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_channel_is_the_same_however_it_is_kept(form, tmp_path, reading):
    name, write = FORMS[form]
    write(tmp_path / name, some())
    h = chunk_of_drops(reading(tmp_path / name, {**TOLD, "normalization": "none"}).channel, 2, 0, 1).history.h
    tolerance = 2e-3 if "half" in form else 1e-6
    np.testing.assert_allclose(h[:, 0, :, :, 0], some()[2:], rtol=tolerance, atol=tolerance)


def test_parts_that_do_not_fit_are_no_channel(tmp_path, refused):
    np.savez(tmp_path / "x.npz", channel_real=some().real, channel_imag=some().imag[:2])
    assert "channel_real [4, 1, 2, 3] and channel_imag [2, 1, 2, 3] are not" in refused(tmp_path / "x.npz", TOLD)
    np.savez(tmp_path / "y.npz", channel_real=some().real)
    assert "holds channel_real: none of the formats" in refused(tmp_path / "y.npz", TOLD)


def test_a_name_that_two_groups_have_is_neither(tmp_path, refused):
    write_h5(tmp_path / "x.h5", {"first/channel": some(), "second/channel": some()})
    assert "holds first/channel, second/channel: none of the formats" in refused(tmp_path / "x.h5", TOLD)


def test_what_lies_in_a_matlab_file_beside_arrays_is_named(tmp_path, refused):
    cells = np.empty((1, 2), object)
    cells[:] = [[np.zeros(2), "a"]]
    savemat(tmp_path / "cells.mat", {"c": cells})
    assert "holds c (cell): none of the formats" in refused(tmp_path / "cells.mat", TOLD)
    several = np.zeros((2,), [("channel", object)])
    savemat(tmp_path / "several.mat", {"users": several})
    assert "holds users (struct): none of the formats" in refused(tmp_path / "several.mat", TOLD)
    assert "no array 'channel': it holds users (struct)" in refused(tmp_path / "several.mat", TOLD,
                                                                    {"format": "deepmimo"})


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".mat"])
def test_empty_arrays_are_refused_with_their_shape(suffix, tmp_path, refused):
    path, empty = tmp_path / f"x{suffix}", np.zeros((0, 1, 2, 3), np.complex64)
    {".npz": lambda: np.savez(path, channel=empty), ".h5": lambda: write_h5(path, {"channel": empty}),
     ".mat": lambda: savemat(path, {"channel": empty})}[suffix]()
    assert "channel has shape [0, 1, 2, 3], but" in refused(path, TOLD)


def test_matlab_7_3_keeps_the_sizes_of_empty_arrays_as_values(tmp_path, refused):
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        file["channel"] = np.array([0, 1, 2, 3], np.uint64)
        file["channel"].attrs["MATLAB_empty"] = 1
    assert "channel has shape [0, 1, 2, 3], but" in refused(tmp_path / "x.mat", TOLD)


def test_an_array_larger_than_the_memory_is_refused_before_it_is_read(tmp_path, refused, monkeypatch):
    class Memory:
        available = 2**27

    monkeypatch.setattr(containers.psutil, "virtual_memory", Memory)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<c8", "fortran_order": False, "shape": (2**20, 1, 2, 20)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("channel.npy", "w") as entry:
            entry.write(header.getvalue())
            for _ in range(2**20 * 40 * 8 // 2**20):
                entry.write(bytes(2**20))
    assert (tmp_path / "x.npz").stat().st_size < 2**20
    assert "channel takes 0.3 GiB of memory, and 0.1 GiB are free" in refused(tmp_path / "x.npz", TOLD)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("channel", (2**20, 1, 2, 20), "c8", chunks=(1024, 1, 2, 20))
    assert "channel takes 0.3 GiB of memory, and 0.1 GiB are free" in refused(tmp_path / "x.h5", TOLD)
