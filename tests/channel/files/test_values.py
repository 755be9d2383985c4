"""Numbers that no link can be computed with are named by file and drop; any scale that floats can hold is none."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from linksim.channel.source import chunk_of_drops
from linksim.core.errors import LinksimError

TOLD = {"carrier_frequency_ghz": 3.5, "csi_period_ms": 1.0, "num_subcarriers": 6, "num_history": 4, "num_future": 2,
        "speed_kmh": 3, "bs_array": {"rows": 1, "columns": 2, "polarization": "single"}}


def responses(samples=6, users=1):
    rng = np.random.default_rng(0)
    shape = (samples, users, 1, 1, 2, 3, 6)
    a = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return a, rng.uniform(0, 1e-6, (samples, users, 1, 3))


def drops_of(path, reading, chunk=1, **channel):
    return chunk_of_drops(reading(path, {**TOLD, **channel}).channel, 2, 0, chunk)


def fault_of(path, reading, chunk=1, **channel):
    with pytest.raises(LinksimError) as error:
        drops_of(path, reading, chunk, **channel)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_gain_that_is_no_number_is_named_with_its_sample(value, tmp_path, reading):
    a, tau = responses()
    a[3, 0, 0, 0, 1, 2, 5] = value
    np.savez(tmp_path / "x.npz", a=a, tau=tau)
    line = fault_of(tmp_path / "x.npz", reading)
    assert f"cir file {tmp_path / 'x.npz'}: gains of sample 3: some are not finite" in line
    assert drops_of(tmp_path / "x.npz", reading, 0).history.h.isfinite().all()


def test_a_delay_that_is_no_number_counts_where_its_path_has_a_gain(tmp_path, reading):
    a, tau = responses()
    tau[2, 0, 0, 1] = np.nan
    np.savez(tmp_path / "x.npz", a=a, tau=tau)
    assert "delays of sample 2: some are not finite" in fault_of(tmp_path / "x.npz", reading)
    np.savez(tmp_path / "ns.npz", a=a, tau=1e9 * responses()[1])
    assert "or longer than a second" in fault_of(tmp_path / "ns.npz", reading)
    np.savez(tmp_path / "complex.npz", a=a, tau=1j * responses()[1])
    assert "tau holds complex128, but seconds are needed" in fault_of(tmp_path / "complex.npz", reading)
    a[2, 0, 0, 0, :, 1] = 0
    np.savez(tmp_path / "padded.npz", a=a, tau=tau)
    a, tau = (np.delete(part, 1, axis) for part, axis in ((a[2:3], 5), (tau[2:3], 3)))
    np.savez(tmp_path / "bare.npz", a=a, tau=tau)
    padded, bare = (chunk_of_drops(reading(tmp_path / name, TOLD, run={"chunk_size": 1, "stopping": {
        "min_drops": 1, "max_drops": 1}}).channel, 1, 0, chunk) for name, chunk in (("padded.npz", 2), ("bare.npz", 0)))
    torch.testing.assert_close(padded.history.h, bare.history.h)


def test_padding_may_differ_from_antenna_to_antenna(tmp_path, reading):
    a, tau = responses()
    each = np.broadcast_to(tau[:, :, None, :, None], a.shape[:6]).copy()
    a[0, 0, 0, 0, 1, 2], each[0, 0, 0, 0, 1, 2] = 0, np.nan
    np.savez(tmp_path / "x.npz", a=a, tau=each)
    assert drops_of(tmp_path / "x.npz", reading, 0).history.h.isfinite().all()


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_any_scale_that_single_precision_holds_gives_the_same_normalised_drops(scale, tmp_path, reading):
    a, tau = responses(users=2)
    for name, factor in (("one.npz", 1), ("scaled.npz", scale)):
        np.savez(tmp_path / name, a=factor * a, tau=tau)
    for normalization in ("user", "drop"):
        one, scaled = (drops_of(tmp_path / name, reading, normalization=normalization)
                       for name in ("one.npz", "scaled.npz"))
        torch.testing.assert_close(scaled.history.h, one.history.h, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scaled.future.h, one.future.h, rtol=1e-4, atol=1e-5)
    assert "sample 2, user 0 has amplitudes of up to" in fault_of(tmp_path / "scaled.npz", reading,
                                                                 normalization="none")


def test_a_future_out_of_all_proportion_is_named(tmp_path, reading):
    a, tau = responses()
    a[3, ..., 4:] *= 1e12
    np.savez(tmp_path / "x.npz", a=a, tau=tau)
    assert "sample 3 has amplitudes of up to" in fault_of(tmp_path / "x.npz", reading)


def test_silent_drops_are_named_where_they_stay(tmp_path, reading, command, scenario_file):
    a, tau = responses(users=2)
    a[1] = 0
    a[2, 1] = 0
    np.savez(tmp_path / "x.npz", a=a, tau=tau)
    assert drops_of(tmp_path / "x.npz", reading, 0, normalization="none").notes == (
        f"cir file {tmp_path / 'x.npz'}: zero throughout: sample 1, user 0; sample 1, user 1",)
    assert "sample 2, user 1" in drops_of(tmp_path / "x.npz", reading, 1, normalization="none").notes[0]
    assert "user 0 of sample 1 has no gain" in fault_of(tmp_path / "x.npz", reading, 0)
    assert not drops_of(tmp_path / "x.npz", reading, 2).notes


def test_users_of_a_set_that_leaves_some_out_keep_their_numbers(tmp_path, reading):
    h = np.random.default_rng(0).normal(size=(8, 1, 2, 6)).astype(np.complex64)
    h[1:4] = 0
    h[6, 0, 0, 0] = np.nan
    np.savez(tmp_path / "x.npz", channel=h)
    told = {key: TOLD[key] for key in ("carrier_frequency_ghz", "bs_array")} | {"subcarrier_spacing_khz": 30,
                                                                               "speed_kmh": 0}
    with pytest.raises(LinksimError, match="channels of user 6: some are not finite"):
        chunk_of_drops(reading(tmp_path / "x.npz", told).channel, 2, 0, 1)


@pytest.mark.parametrize(("name", "value", "words"), [
    ("history/h", np.nan, "history of drop 1"), ("future/h", np.nan, "uplink_future of drop 1"),
    ("rays/amplitude", np.inf, "rays/amplitude of drop 1"),
    ("history/max_doppler_hz", -1, "history/max_doppler_hz of drop 1: some are negative"),
])
def test_stored_drops_of_linksim_are_looked_at_too(name, value, words, exported, reading):
    path = exported("drops.h5")
    with h5py.File(path, "a") as file:
        part = file[name][1]
        part[(0,) * part.ndim] = value
        file[name][1] = part
    with pytest.raises(LinksimError, match=words):
        chunk_of_drops(reading(path).channel, 2, 0, 0)


def test_llm4cp_and_cost2100_name_theirs(tmp_path, reading):
    rng = np.random.default_rng(0)
    window = rng.uniform(size=(4, 2048))
    window[2, 7] = np.nan
    savemat(tmp_path / "DATA_Htestin.mat", {"HT": window})
    still = {"speed_kmh": 0, "num_history": 1, "num_future": 1}
    with pytest.raises(LinksimError, match="channels of sample 2: some are not finite"):
        chunk_of_drops(reading(tmp_path / "DATA_Htestin.mat", still).channel, 2, 0, 1)
    folder = tmp_path / "set"
    folder.mkdir()
    for name, times in (("H_U_his", 4), ("H_U_pre", 2)):
        h = rng.normal(size=(1, 4, times, 3, 2, 1, 1)).astype(np.complex64)
        if name == "H_U_pre":
            h[0, 3, 0, 0, 0] = np.inf
        savemat(folder / f"{name}_test.mat", {f"{name}_test": h})
    with pytest.raises(LinksimError, match="uplink_future of item 3: some are not finite"):
        chunk_of_drops(reading(folder, {"speed_kmh": 3}).channel, 2, 0, 1)
