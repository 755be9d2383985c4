"""The CsiNet line's files: offset undone, beams to antennas, delays to the tones of the published evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.io import savemat

from linksim.channel.source import chunk_of_drops
from linksim.core.errors import LinksimError

STILL = {"speed_kmh": 0, "num_history": 2, "num_future": 1}
BEAMS, DELAYS = 32, 32


def one_bin(samples=6, beam=5, delay=7):
    """``HT`` of one beam at one delay, amplitude growing with the sample, zero at 0.5."""
    z = np.zeros((samples, BEAMS, DELAYS), complex)
    z[:, beam, delay] = 0.3j * (1 + np.arange(samples)) / samples
    return np.stack([z.real, z.imag], 1).reshape(samples, -1) + 0.5


def read(path, reading, files=None, chunk=0, **channel):
    scenario = reading(path, {**STILL, **channel}, files)
    return scenario.channel, chunk_of_drops(scenario.channel, 2, 0, chunk)


@pytest.mark.parametrize(("tones", "fft_size"), [(125, 257), (1024, 1024)])
def test_one_beam_at_one_delay_is_a_steering_vector_and_a_phase_slope(tones, fft_size, tmp_path, reading):
    savemat(tmp_path / "DATA_Htestin.mat", {"HT": one_bin()})
    channel, drops = read(tmp_path / "DATA_Htestin.mat", reading, {"tones": tones}, normalization="none", chunk=1)
    assert channel.carrier_frequency_ghz == 5.3
    assert channel.subcarrier_spacing_khz == pytest.approx(20e3 / fft_size)
    assert (channel.bs_array.rows, channel.bs_array.columns, channel.bs_array.polarization) == (1, 32, "single")
    h = drops.history.h
    assert h.shape == (2, 1, 1, 32, 2, tones)
    antenna, tone = np.arange(32)[:, None], np.arange(tones)
    expected = 0.3j * np.exp(-2j * np.pi * (5 * antenna / 32 + 7 * tone / fft_size)) / np.sqrt(32)
    np.testing.assert_allclose(h[1, 0, 0, :, 0], expected * 4 / 6, atol=1e-6)
    assert torch.equal(h[..., 0, :], h[..., 1, :])
    assert torch.equal(h[..., :1, :], drops.future.h)
    # the delay in seconds, from the slope over the scenario's own frequencies
    slope = np.angle(h[0, 0, 0, 0, 0, 1] / h[0, 0, 0, 0, 0, 0]) / float(drops.history.frequency_hz.diff()[0])
    assert -slope / (2 * np.pi) == pytest.approx(7 / 20e6, rel=1e-3)


def test_the_truncated_window_and_the_tones_of_one_channel_agree(tmp_path, reading):
    """``HF_all`` made as the published evaluation compares it: FFT of length 257 over delays, 125 tones."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, BEAMS, DELAYS)) * 0.1 + 0.1j * rng.normal(size=(4, BEAMS, DELAYS))
    savemat(tmp_path / "DATA_Htestout.mat", {"HT": np.stack([z.real, z.imag], 1).reshape(4, -1) + 0.5})
    padded = np.concatenate([z, np.zeros((4, BEAMS, 257 - DELAYS))], 2)
    savemat(tmp_path / "DATA_HtestFout_all.mat", {"HF_all": np.fft.fft(padded, axis=2)[:, :, :125].reshape(4, -1)})
    for domain in ("angle", "antenna"):
        (window, one), (_, other) = (read(tmp_path / f"DATA_Htest{name}.mat", reading, {"spatial_domain": domain})
                                     for name in ("out", "Fout_all"))
        assert window.carrier_frequency_ghz == 0.3
        torch.testing.assert_close(one.history.h, other.history.h, rtol=1e-4, atol=1e-5)


def test_normalised_by_each_samples_own_power_and_never_by_the_offset(tmp_path, reading):
    savemat(tmp_path / "DATA_Hvalin.mat", {"HT": one_bin()})
    _, drops = read(tmp_path / "DATA_Hvalin.mat", reading)
    torch.testing.assert_close(drops.history.h.abs().square().mean((2, 3, 4, 5)), torch.ones(2, 1))


def test_a_channel_seen_once_stands_still_and_a_speed_is_refused(tmp_path, refused):
    savemat(tmp_path / "DATA_Htestin.mat", {"HT": one_bin()})
    line = refused(tmp_path / "DATA_Htestin.mat")
    assert "channel.speed_kmh" in line
    assert "one time sample" in line
    assert "write channel.speed_kmh: 0" in line


def test_what_is_no_such_file_is_one_line(tmp_path, refused, reading):
    savemat(tmp_path / "short.mat", {"HT": one_bin()[:, :-1]})
    assert "HT has shape [6, 2047], but [sample, antennas x 64] is needed" in refused(tmp_path / "short.mat", STILL)
    savemat(tmp_path / "other.mat", {"HT": one_bin()})
    assert "does not say channel.carrier_frequency_ghz: write it" in refused(tmp_path / "other.mat", STILL)
    assert reading(tmp_path / "other.mat", {**STILL, "carrier_frequency_ghz": 28}).channel.carrier_frequency_ghz == 28
    savemat(tmp_path / "f.mat", {"HF_all": np.zeros((3, 4000), complex)})
    assert "tones must be 125" in refused(tmp_path / "f.mat", STILL, {"tones": 1024})
    savemat(tmp_path / "DATA_Htestin.mat", {"HT": one_bin()})
    line = refused(tmp_path / "DATA_Htestin.mat", {**STILL, "bs_array": {"rows": 4}})
    assert "channel.bs_array.rows: 4 here" in line or "bs_array.rows: 4 here, but cost2100 file" in line


@pytest.mark.parametrize("antennas", [8, 64])
def test_the_layout_tells_the_number_of_antennas(antennas, tmp_path, reading):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, antennas, DELAYS)) * 0.1 + 0.1j * rng.normal(size=(4, antennas, DELAYS))
    savemat(tmp_path / "DATA_Htestin.mat", {"HT": np.stack([z.real, z.imag], 1).reshape(4, -1) + 0.5})
    padded = np.concatenate([z, np.zeros((4, antennas, 257 - DELAYS))], 2)
    savemat(tmp_path / "DATA_HtestFin_all.mat", {"HF_all": np.fft.fft(padded, axis=2)[:, :, :125].reshape(4, -1)})
    (channel, one), (_, other) = (read(tmp_path / f"DATA_Htest{name}.mat", reading) for name in ("in", "Fin_all"))
    assert channel.bs_array.columns == antennas
    assert one.history.h.shape[3] == antennas
    torch.testing.assert_close(one.history.h, other.history.h, rtol=1e-4, atol=1e-5)


def test_a_complex_window_is_no_window(tmp_path, reading):
    savemat(tmp_path / "DATA_Htestin.mat", {"HT": one_bin().astype(complex) * 1j})
    with pytest.raises(LinksimError, match="real and imaginary parts side by side"):
        read(tmp_path / "DATA_Htestin.mat", reading)
