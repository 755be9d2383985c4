"""LLM4CP's set: axes as published, steering where it belongs, both ways."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

from linksim.channel.source import chunk_of_drops
from linksim.experiment.plan import make_plan, unit_seed
from linksim.loading.load import scenario_from_dict
from linksim.scenario.points import point_scenario
from linksim.training.data import training_conditions

COLUMNS, ROWS, TONES, DELAY_S, SPEED_OF_LIGHT = 3, 2, 6, 0.4e-6, 299792458.0


def one_path(speeds, users, split="test", times=(4, 2), polarizations=2):
    """Variables of a set in which user u of speed v is one path whose angles and Doppler depend on both."""
    speed, user = np.meshgrid(np.arange(len(speeds)), np.arange(users), indexing="ij")
    at = [axis.reshape(axis.shape + (1,) * 5) for axis in (speed, user)]
    time = np.arange(sum(times)).reshape(1, 1, -1, 1, 1, 1, 1)
    tone = np.arange(2 * TONES).reshape(1, 1, 1, -1, 1, 1, 1)
    column, row, pol = (np.arange(n).reshape((1,) * 4 + shape) for n, shape in (
        (COLUMNS, (-1, 1, 1)), (ROWS, (1, -1, 1)), (polarizations, (1, 1, -1))))
    doppler = np.array(speeds)[at[0]] / 3.6 * 2.4e9 / SPEED_OF_LIGHT
    phase = 2 * np.pi * (doppler * time * 0.5e-3 - tone * 180e3 * DELAY_S) + np.pi * (
        column * 0.1 * (1 + at[1]) + row * 0.3) + pol * 0.7
    h = np.exp(1j * phase)
    past, future = slice(0, times[0]), slice(times[0], None)
    low, high = slice(0, TONES), slice(TONES, None)
    return {f"H_U_his_{split}": h[:, :, past, low], f"H_U_pre_{split}": h[:, :, future, low],
            f"H_D_pre_{split}": h[:, :, future, high]}


def write(folder, variables, v73=False):
    folder.mkdir(exist_ok=True)
    for name, array in variables.items():
        if not v73:
            savemat(folder / f"{name}.mat", {name: array})
            continue
        pairs = np.zeros(array.T.shape, dtype=[("real", "f8"), ("imag", "f8")])
        pairs["real"], pairs["imag"] = array.T.real, array.T.imag
        with h5py.File(folder / f"{name}.mat", "w", userblock_size=512) as file:
            file[name] = pairs
        with open(folder / f"{name}.mat", "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return folder


@pytest.mark.parametrize("v73", [False, True])
@pytest.mark.parametrize("duplex", ["tdd", "fdd_adjacent"])
def test_a_known_path_comes_back_as_its_steering_vector_delay_and_doppler(v73, duplex, tmp_path, reading):
    folder = write(tmp_path / "set", one_path([30, 60], 4), v73)
    scenario = reading(folder, {"duplex": duplex, "speed_kmh": 60}, {"speeds_kmh": [30, 60]})
    channel = scenario.channel
    assert (channel.num_history, channel.num_future, channel.num_subcarriers) == (4, 2, TONES)
    assert (channel.bs_array.columns, channel.bs_array.rows, channel.bs_array.polarization) == (COLUMNS, ROWS, "dual")
    assert channel.carrier_frequency_ghz == 2.4
    drops = chunk_of_drops(channel, 2, 0, 1)
    h = drops.history.h.unflatten(3, drops.history.panel.shape)[:, 0, 0].numpy()  # drop, pol, column, row, time, tone
    for drop in range(2):  # users 2 and 3
        np.testing.assert_allclose(np.angle(h[drop, :, 1:] / h[drop, :, :-1]), np.pi * 0.1 * (3 + drop), atol=1e-5)
    np.testing.assert_allclose(np.angle(h[:, :, :, 1] / h[:, :, :, 0]), np.pi * 0.3, atol=1e-5)
    np.testing.assert_allclose(np.angle(h[:, 1] / h[:, 0]), 0.7, atol=1e-5)
    np.testing.assert_allclose(-np.angle(h[..., 1:] / h[..., :-1]) / (2 * np.pi * 180e3), DELAY_S, rtol=1e-3)
    doppler_hz = np.angle(h[..., 1:, :] / h[..., :-1, :]) / (2 * np.pi * 0.5e-3)
    np.testing.assert_allclose(doppler_hz, float(drops.history.max_doppler_hz[0, 0]), rtol=1e-3)
    band = drops.future.frequency_hz[0] - drops.history.frequency_hz[0]
    assert float(band) == pytest.approx(0 if duplex == "tdd" else TONES * 180e3)
    turn = 2 * np.pi * (float(drops.history.max_doppler_hz[0, 0]) * 0.5e-3 - float(band) * DELAY_S)
    after = drops.future.h[..., 0, 0] / drops.history.h[..., -1, 0]  # one step later, and in FDD a band higher
    np.testing.assert_allclose(after, np.full(after.shape, np.exp(1j * turn)), atol=1e-3)
    assert torch.equal(drops.response(drops.future.time_s).h, drops.future.h) or duplex != "tdd"
    assert float(drops.history.h.abs().square().mean()) == pytest.approx(1)


def test_speeds_are_the_published_ones_where_their_number_is(tmp_path, refused, reading):
    folder = write(tmp_path / "set", one_path(range(10, 110, 10), 2))
    line = refused(folder)
    assert "channel.files.path" in line
    assert "several values of channel.speed_kmh (10.0, 20.0" in line
    swept = reading(folder, sweep={"channel.speed_kmh": [20, 100]})
    for speed in (20, 100):
        channel = point_scenario(swept, {"channel.speed_kmh": speed}).channel
        doppler_hz = float(chunk_of_drops(channel, 2, 0, 0).history.max_doppler_hz[0, 0])
        assert doppler_hz == pytest.approx(speed / 3.6 * 2.4e9 / SPEED_OF_LIGHT)
    assert "sweep.channel.speed_kmh" in (line := refused(folder, sweep={"channel.speed_kmh": [20, 25]}))
    assert "no drops with speed_kmh 25.0" in line
    odd = write(tmp_path / "odd", one_path([5, 6, 7], 2))
    assert "holds 3 speeds: name them in channel.files.speeds_kmh" in refused(odd)
    assert "(2 given)" in refused(odd, files={"speeds_kmh": [5, 6]})


def test_training_drops_go_over_all_speeds_with_the_doppler_of_each(tmp_path, reading):
    test, training = write(tmp_path / "test", one_path([30], 30)), write(tmp_path / "train", one_path(
        range(10, 110, 10), 30, "train"))
    scenario = reading(test, {"speed_kmh": 30}, {"training_path": str(training)}, methods=["ridge"],
                       training={"num_drops": 300, "folder": str(tmp_path / "c")})
    channel = training_conditions(scenario)[0][0]
    drops = chunk_of_drops(channel, 25, 0, 1, split="training")
    expected = (torch.arange(25, 50) % 10 + 1) * 10 / 3.6 * 2.4e9 / SPEED_OF_LIGHT
    torch.testing.assert_close(drops.history.max_doppler_hz[:, 0], expected.float())


def test_users_are_grouped_into_drops(tmp_path, reading):
    folder = write(tmp_path / "set", one_path([30], 7))
    scenario = reading(folder, {"speed_kmh": 30, "num_users": 3}, {"speeds_kmh": [30]})
    drops = chunk_of_drops(scenario.channel, 2, 0, 0)
    assert drops.history.h.shape == (2, 3, 1, COLUMNS * ROWS * 2, 4, TONES)


@pytest.mark.parametrize("duplex", ["tdd", "fdd_adjacent"])
def test_what_is_written_in_the_layout_comes_back(duplex, exported, reading, tiny):
    changes = {"channel.duplex": duplex, "channel.num_users": 2, "sweep": {"channel.speed_kmh": [3, 60]},
               "channel.carrier_frequency_ghz": 3,
               "channel.bs_array": {"rows": 2, "columns": 3, "polarization": "dual"}}
    folder = exported("set", changes, 4, layout="llm4cp")
    names = {file.name for file in folder.iterdir()}
    assert names == {"H_U_his_test.mat", "H_U_pre_test.mat"} | ({"H_D_pre_test.mat"} if duplex != "tdd" else set())
    assert loadmat(folder / "H_U_his_test.mat")["H_U_his_test"].shape == (2, 8, 4, 8, 3, 2, 2)
    stored = reading(folder, {"duplex": duplex, "speed_kmh": 60, "num_users": 2, "carrier_frequency_ghz": 3,
                              "normalization": "none"}, {"speeds_kmh": [3, 60]})
    drawn = scenario_from_dict(tiny(changes))
    point = make_plan(drawn).channel_points[1]
    drops = chunk_of_drops(point.points[0][1].channel, 2, unit_seed(drawn, point, 1), 1)
    again = chunk_of_drops(stored.channel, 2, 0, 1)
    for name in ("history", "future"):
        one, other = getattr(again, name), getattr(drops, name)
        assert torch.equal(one.h, other.h)
        assert torch.equal(one.frequency_hz, other.frequency_hz)
    assert torch.equal(again.response(drops.future.time_s).h, drops.response(drops.future.time_s).h)


def test_singleton_axes_that_matlab_drops_are_put_back(tmp_path, reading):
    variables = {name: array[:, :, :, :, :1, :1, :1] for name, array in one_path([30], 3, polarizations=1).items()}
    squeezed = {name: array.reshape(array.shape[:4]) for name, array in variables.items()}
    scenario = reading(write(tmp_path / "set", squeezed), {"speed_kmh": 30}, {"speeds_kmh": [30]})
    assert chunk_of_drops(scenario.channel, 2, 0, 0).history.h.shape == (2, 1, 1, 1, 4, TONES)


def test_a_broken_set_is_one_line(tmp_path, refused):
    whole = one_path([30], 3)
    history = whole["H_U_his_test"]
    for changes, words in [
        ({"H_U_his_test": None}, "neither H_U_his_test.mat nor H_U_his_train.mat"),
        ({"H_U_pre_test": None, "H_D_pre_test": None}, "are needed"),
        ({"H_U_his_test": history[:, :, :, :, 0]}, "[speed, user, time, subcarrier, column, row, polarization]"),
        ({"H_U_his_test": history[:, :2]}, "differ in more than time"),
    ]:
        folder = tmp_path / words[:6].strip("[]")
        write(folder, {name: array for name, array in {**whole, **changes}.items() if array is not None})
        line = refused(folder, {"speed_kmh": 30}, {"format": "llm4cp"})
        assert str(folder) in line
        if "polarization" not in words:  # a missing trailing axis is one of length 1 to MATLAB
            assert words in line
    folder = write(tmp_path / "text", {**whole, "H_U_his_test": np.array(["a text"])})
    assert "H_U_his" in refused(folder, {"speed_kmh": 30})
    assert "serves tdd alone" in refused(write(tmp_path / "tdd", {k: v for k, v in whole.items() if "D" not in k}),
                                         {"speed_kmh": 30, "duplex": "fdd_adjacent"})
