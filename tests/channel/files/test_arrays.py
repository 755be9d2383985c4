"""Whatever is wrong with a file: one line that names it. Nothing in it is executed."""

from __future__ import annotations

import pickle
import zipfile

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from linksim.channel.files.arrays import open_arrays
from linksim.channel.source import chunk_of_drops
from linksim.core.errors import LinksimError, ScenarioError

CHANNEL = {"carrier_frequency_ghz": 3.5, "speed_kmh": 0, "subcarrier_spacing_khz": 30,
           "bs_array": {"rows": 1, "columns": 2, "polarization": "single"}}


def outcome_of(path, reading, chunk=0):
    """What reading drops of a file ends in: the text of linksim's own error, or nothing."""
    try:
        chunk_of_drops(reading(path).channel, 2, 0, chunk)
    except LinksimError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_a_file_cut_off_anywhere_is_one_line(suffix, exported, refused, reading, tmp_path):
    whole = exported(f"whole{suffix}", {"channel.num_users": 1}, with_rays=False).read_bytes()
    broken = tmp_path / f"broken{suffix}"
    for length in (0, 1, 100, len(whole) // 3, len(whole) - 200):
        broken.write_bytes(whole[:length])
        line = outcome_of(broken, reading, chunk=3)
        assert str(broken) in line, f"{length} of {len(whole)} bytes"
        assert "\n" not in line


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_noise_is_no_file(suffix, refused, tmp_path):
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    line = refused(path)
    assert f"channel.files.path: {path}: damaged, cut off or not a {suffix} file" in line


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_bytes_changed_within_are_an_error_or_a_value_and_never_a_crash(suffix, exported, reading, tmp_path):
    whole = exported(f"whole{suffix}", with_rays=False).read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(25):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 40):
            damaged[place] = rng.integers(0, 256)
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(bytes(damaged))
        assert "\n" not in outcome_of(path, reading)


def test_a_path_that_is_none_says_what_is_needed(refused, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.csv").write_text("1, 2")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3), y=np.zeros(3))
    for name, files, words in [
        ("missing.h5", {}, "no such file or folder"),
        ("folder", {"format": "deepmimo"}, "is a folder"),
        ("folder", {}, "holds neither H_U_his_test.mat nor H_U_his_train.mat"),
        ("text.csv", {}, "must end in one of .h5, .hdf5, .npz, .mat"),
        ("one.npz", {}, "numpy.savez"),
        ("other.npz", {}, "holds x, y: none of the formats of channel.files.format"),
        ("other.npz", {"format": "cir"}, "no array 'a'"),
        ("other.npz", {"format": "linksim"}, "no array 'header'"),
        ("other.npz", {"format": "cost2100"}, "no array 'HT'"),
        ("other.npz", {"format": "llm4cp"}, "is a folder of H_U_his_test.mat"),
    ]:
        line = refused(tmp_path / name, CHANNEL, files)
        assert words in line, line
        assert line.startswith(f"scenario: channel.files.path: {tmp_path / name}: ")


def test_pickles_and_objects_are_refused_unread(refused, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "fired"), "w"))

    np.savez(tmp_path / "x.npz", channel=np.array([Bomb()], dtype=object))
    assert "channel holds Python objects" in refused(tmp_path / "x.npz", CHANNEL)
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("channel.npy", pickle.dumps(Bomb()))
    assert "channel" in refused(tmp_path / "y.npz", CHANNEL)
    savemat(tmp_path / "z.mat", {"channel": np.array([{"a": 1}], dtype=object)})
    assert "no array 'channel'" in refused(tmp_path / "z.mat", CHANNEL, {"format": "deepmimo"})
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["channel"] = np.full((2, 1, 2, 3), "text", dtype=h5py.string_dtype())
    assert "not numbers" in refused(tmp_path / "t.h5", CHANNEL)
    assert not (tmp_path / "fired").exists()


def test_matlab_7_3_reverses_axes_and_pairs_real_with_imaginary(tmp_path):
    array = np.arange(24).reshape(2, 3, 4) * (1 + 0.5j)
    pairs = np.zeros(array.T.shape, dtype=[("real", "f8"), ("imag", "f8")])
    pairs["real"], pairs["imag"] = array.T.real, array.T.imag
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        file["h"] = pairs
        file["vector"] = np.arange(5.0)[:, None]
        file["#refs#/a"] = np.zeros(2)
    arrays = open_arrays(tmp_path / "x.mat")
    assert sorted(arrays.names) == ["h", "vector"]
    assert arrays.shape("h") == (2, 3, 4)
    np.testing.assert_array_equal(arrays.read("h"), array)
    np.testing.assert_array_equal(arrays.read("h", 1, 2), array[1:2])
    np.testing.assert_array_equal(arrays.read("vector"), np.arange(5.0)[None])


def test_values_that_are_not_finite_are_met_where_drops_are_checked(command, scenario_file, tmp_path):
    h = np.ones((4, 1, 2, 3), np.complex64)
    h[3, 0, 1, 2] = np.nan
    np.savez(tmp_path / "nan.npz", channel=h)
    path = scenario_file({"channel": {"source": "files", "files": {"path": "nan.npz"}, **CHANNEL}, "bounds": []})
    outcome = command("run", path, "--output", tmp_path / "out")
    assert outcome.code == 2
    assert f"deepmimo file {tmp_path / 'nan.npz'}: channels of user 3: some are not finite" in outcome.line


def test_a_user_without_gain_cannot_be_normalised(reading, tmp_path):
    a = np.ones((4, 1, 1, 1, 2, 1, 6), np.complex64)
    a[1] = 0
    np.savez(tmp_path / "x.npz", a=a, tau=np.zeros((4, 1, 1, 1)))
    channel = reading(tmp_path / "x.npz", {**CHANNEL, "csi_period_ms": 1}).channel
    with pytest.raises(LinksimError, match="user 0 of sample 1 has no gain"):
        chunk_of_drops(channel, 2, 0, 0)
    raw = channel.model_copy(update={"normalization": "none"})
    assert not chunk_of_drops(raw, 2, 0, 0).history.h[1].any()


def test_an_error_is_a_scenario_error_until_the_run_begins(tmp_path):
    with pytest.raises(ScenarioError):
        open_arrays(tmp_path / "missing.h5")
