"""DeepMIMO arrays: axes, element order, users without paths, path parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.io import savemat

from linksim.channel.files.opened import open_channel_files
from linksim.channel.source import chunk_of_drops

USERS, RX, MX, MY, TONES, BANDWIDTH_HZ, DELAY_S = 6, 2, 3, 2, 8, 10e6, 0.35e-6
SPACING_KHZ = BANDWIDTH_HZ / TONES / 1e3
TOLD = {"carrier_frequency_ghz": 3.5, "subcarrier_spacing_khz": SPACING_KHZ, "speed_kmh": 0, "num_history": 2,
        "num_future": 1, "bs_array": {"rows": MY, "columns": MX, "polarization": "single"}}
AZIMUTH, ZENITH = np.deg2rad(40), np.deg2rad(70)


def arrays(times=0):
    """One path a user: element (y, z) of the base station at index z * MX + y, user 2 without a path."""
    y, z = np.tile(np.arange(MX), MY), np.repeat(np.arange(MY), MX)
    steering = np.exp(1j * np.pi * (y * np.sin(ZENITH) * np.sin(AZIMUTH) + z * np.cos(ZENITH)))
    receiver = np.exp(1j * np.pi * 0.2 * np.arange(RX))
    tones = np.exp(-2j * np.pi * DELAY_S * np.arange(TONES) * BANDWIDTH_HZ / TONES)
    channel = 1e-5 * np.einsum("r,t,k->rtk", receiver, steering, tones) * (1 + np.arange(USERS))[:, None, None, None]
    channel[2] = 0
    if times:
        channel = channel[..., None] * np.exp(2j * np.pi * 50 * 1e-3 * np.arange(times))
    los = np.array([1, 0, -1, 1, 0, 1])
    paths = np.full((USERS, 4), np.nan)
    paths[:, 0] = np.arange(USERS)
    return {"channel": channel.astype(np.complex64), "rx_pos": np.arange(3 * USERS).reshape(USERS, 3) * 1.0, "los": los,
            "delay": paths, "aod_az": paths}


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_a_known_path_comes_back_as_its_steering_vector_and_delay(suffix, tmp_path, reading):
    path = tmp_path / f"asu{suffix}"
    (np.savez if suffix == ".npz" else lambda file, **named: savemat(file, named))(path, **arrays())
    scenario = reading(path, TOLD)
    assert scenario.channel.ue_array.num_antennas == RX
    drops = chunk_of_drops(scenario.channel, 2, 0, 1)
    h = drops.history.h.unflatten(3, drops.history.panel.shape)[:, 0, :, 0].numpy()  # drop, ue, column, row, time, tone
    column = np.pi * np.sin(ZENITH) * np.sin(AZIMUTH)
    np.testing.assert_allclose(np.angle(h[:, :, 1:] / h[:, :, :-1]), column, atol=1e-5)
    np.testing.assert_allclose(np.angle(h[:, :, :, 1] / h[:, :, :, 0]), np.pi * np.cos(ZENITH), atol=1e-5)
    np.testing.assert_allclose(np.angle(h[:, 1] / h[:, 0]), np.pi * 0.2, atol=1e-5)
    slope = -np.angle(h[..., 1:] / h[..., :-1])
    np.testing.assert_allclose(slope / (2 * np.pi * SPACING_KHZ * 1e3), DELAY_S, rtol=1e-3)
    torch.testing.assert_close(drops.history.h.abs().square().mean((2, 3, 4, 5)), torch.ones(2, 1))


def test_users_without_a_path_are_left_out_and_path_parameters_stay_readable(tmp_path, reading):
    np.savez(tmp_path / "asu.npz", **arrays())
    reader = open_channel_files(reading(tmp_path / "asu.npz", TOLD).channel.files)
    assert reader.header.num_items == USERS - 1
    assert reader.header.notes == ("asu.npz: 1 of 6 users have no path and are left out",)
    samples = reader.read(1, 4)
    assert samples.line_of_sight[:, 0].tolist() == [False, True, False]  # users 1, 3 and 4
    assert samples.position_user_m[1, 0].tolist() == [9, 10, 11]
    assert samples.paths.keys() == {"delay", "aod_az"}
    assert samples.paths["delay"][:, 0].tolist() == [1, 3, 4]


def test_several_times_are_cut_into_history_and_future(tmp_path, reading, refused):
    np.savez(tmp_path / "moving.npz", **arrays(times=6))
    assert "does not say channel.csi_period_ms: write it" in refused(
        tmp_path / "moving.npz", {key: value for key, value in TOLD.items() if not key.startswith("num_")})
    told = {**TOLD, "speed_kmh": 15, "csi_period_ms": 1.0}
    drops = chunk_of_drops(reading(tmp_path / "moving.npz", told).channel, 2, 0, 0)
    turn = (drops.history.h[..., 1, :] / drops.history.h[..., 0, :]).angle()
    assert torch.allclose(turn, torch.tensor(2 * np.pi * 50e-3, dtype=torch.float32), atol=1e-4)
    del told["num_history"], told["num_future"]
    scenario = reading(tmp_path / "moving.npz", told)
    assert (scenario.channel.num_history, scenario.channel.num_future) == (3, 3)
    assert "has 6 samples" in refused(tmp_path / "moving.npz", {**told, "num_history": 5, "num_future": 2})


def test_an_array_that_is_ordered_otherwise_can_be_told(tmp_path, reading):
    np.savez(tmp_path / "asu.npz", **arrays())
    usual, told = (chunk_of_drops(reading(tmp_path / "asu.npz", {**TOLD, "bs_array": array}, files).channel, 2, 0, 0)
                   for array, files in ((TOLD["bs_array"], {}), (
                       {"rows": MX, "columns": MY, "polarization": "single"},
                       {"antenna_order": ["polarization", "column", "row"]})))
    shape = usual.history.panel.shape
    torch.testing.assert_close(usual.history.h.unflatten(3, shape).transpose(4, 5).flatten(3, 5), told.history.h)


def test_what_does_not_fit_is_one_line(tmp_path, refused):
    def line(changes, told=TOLD, suffix=".npz"):
        named = {key: value for key, value in {**arrays(), **changes}.items() if value is not None}
        np.savez(tmp_path / "x.npz", **named)
        return refused(tmp_path / "x.npz", told, {"format": "deepmimo"})

    assert "no array 'channel': did you mean" in line({"channel": None})
    assert "[user, rx_ant, tx_ant, subcarrier] (and time) is needed" in line({"channel": arrays()["channel"][0]})
    assert "not numbers" in line({"channel": np.full((2, 1, 1, 1), "x")})
    assert "but complex numbers are needed" in line({"channel": np.abs(arrays()["channel"])})
    assert "zero for every user" in line({"channel": 0 * arrays()["channel"]})
    assert "rx_pos has shape [5, 3], but channel has 6 users" in line({"rx_pos": np.zeros((5, 3))})
    assert "does not say how they stand: write channel.bs_array" in line({}, {**TOLD, "bs_array": {}})
    assert "makes 4 antennas, but deepmimo file" in line(
        {}, {**TOLD, "bs_array": {"rows": 2, "columns": 2, "polarization": "single"}})
    assert "write channel.speed_kmh: 0" in line({}, {**TOLD, "speed_kmh": 3})
    assert "num_subcarriers: 4 here, but deepmimo file" in line({}, {**TOLD, "num_subcarriers": 4})
