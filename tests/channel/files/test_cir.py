"""Sionna's impulse responses, stored and live: equal to Sionna's own OFDM response."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat
from sionna.phy.channel import cir_to_ofdm_channel

import linksim
from linksim.channel.source import chunk_of_drops
from linksim.core import registry
from linksim.core.errors import LinksimError

USERS, UE_ANT, BS_ANT, PATHS, TIMES = 2, 2, 4, 5, 6
TOLD = {"carrier_frequency_ghz": 3.5, "csi_period_ms": 1.0, "num_subcarriers": 6, "num_history": 4, "num_future": 2,
        "bs_array": {"rows": 2, "columns": 2, "polarization": "single"}}


def responses(samples=6, seed=0):
    rng = np.random.default_rng(seed)
    shape = (samples, USERS, UE_ANT, 1, BS_ANT, PATHS, TIMES)
    a = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    return a, rng.uniform(0, 1e-6, (samples, USERS, 1, PATHS)).astype(np.float32)


def sionna_response(a, tau, frequency_hz, carrier_hz=3.5e9):
    offset_hz = (frequency_hz - carrier_hz).to(torch.float32)
    h = cir_to_ofdm_channel(offset_hz, torch.from_numpy(a), torch.from_numpy(tau), normalize=False)
    return h[:, :, :, 0]


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".mat"])
@pytest.mark.parametrize("direction", ["downlink", "uplink"])
@pytest.mark.parametrize("duplex", ["tdd", "fdd_adjacent"])
def test_equals_sionnas_own_response(suffix, direction, duplex, tmp_path, reading):
    a, tau = responses()
    stored = {"a": a, "tau": tau} if direction == "downlink" else {
        "a": a.transpose(0, 3, 4, 1, 2, 5, 6), "tau": tau.transpose(0, 2, 1, 3)}
    path = tmp_path / f"cir{suffix}"
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.update(stored)
    else:
        (np.savez if suffix == ".npz" else lambda name, **named: savemat(name, named))(path, **stored)
    scenario = reading(path, {**TOLD, "duplex": duplex, "normalization": "none"}, {"direction": direction})
    assert (scenario.channel.num_users, scenario.channel.ue_array.num_antennas) == (USERS, UE_ANT)
    drops = chunk_of_drops(scenario.channel, 2, 0, 1)
    for csi, times in ((drops.history, slice(4)), (drops.future, slice(4, 6))):
        expected = sionna_response(a[2:4], tau[2:4], csi.frequency_hz)[..., times, :]
        torch.testing.assert_close(csi.h, expected, rtol=1e-3, atol=1e-4)
    uplink = drops.response(drops.future.time_s)
    torch.testing.assert_close(uplink.h, sionna_response(a[2:4], tau[2:4], uplink.frequency_hz)[..., 4:, :], rtol=1e-3,
                               atol=1e-4)


def test_every_antenna_may_have_delays_of_its_own(tmp_path, reading):
    a, tau = responses()
    whole = np.broadcast_to(tau[:, :, None, :, None], a.shape[:6])
    np.savez(tmp_path / "one.npz", a=a, tau=tau)
    np.savez(tmp_path / "each.npz", a=a, tau=whole)
    one, each = (chunk_of_drops(reading(tmp_path / name, TOLD).channel, 2, 0, 0) for name in ("one.npz", "each.npz"))
    torch.testing.assert_close(one.future.h, each.future.h)


def test_samples_of_one_user_are_grouped(tmp_path, reading):
    a, tau = responses()
    np.savez(tmp_path / "x.npz", a=a[:, :1], tau=tau[:, :1])
    drops = chunk_of_drops(reading(tmp_path / "x.npz", {**TOLD, "num_users": 3}).channel, 2, 0, 0)
    assert drops.history.h.shape == (2, 3, UE_ANT, BS_ANT, 4, 6)
    assert reading(tmp_path / "x.npz", TOLD).channel.num_users == 1


def test_ranges_of_models_do_not_bind_stored_channels(tmp_path, reading):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4, 20, 1, 1, 20, PATHS, TIMES)) + 1j * rng.normal(size=(4, 20, 1, 1, 20, PATHS, TIMES))
    np.savez(tmp_path / "x.npz", a=a.astype(np.complex64), tau=rng.uniform(0, 1e-6, (4, 20, 1, PATHS)))
    told = {**TOLD, "carrier_frequency_ghz": 140, "speed_kmh": 1000,
            "bs_array": {"rows": 5, "columns": 4, "polarization": "single"}}
    scenario = reading(tmp_path / "x.npz", told)
    assert scenario.channel.num_users == 20
    assert chunk_of_drops(scenario.channel, 2, 0, 0).history.h.shape[:4] == (2, 20, 1, 20)


def test_what_does_not_fit_is_one_line(tmp_path, refused):
    def line(a, tau, told=TOLD, **files):
        np.savez(tmp_path / "x.npz", **{name: part for name, part in (("a", a), ("tau", tau)) if part is not None})
        return refused(tmp_path / "x.npz", told, {"format": "cir", **files})

    a, tau = responses()
    assert "no array 'tau'" in line(a, None)
    assert "[sample, rx, rx_ant, tx, tx_ant, path, time] is needed" in line(a[0], tau)
    assert "do not fit together" in line(a, tau[:, :, :, 1:])
    assert "holds 2 base stations" in line(a, tau, direction="uplink")
    assert "does not say channel.carrier_frequency_ghz" in line(a, tau, {**TOLD, "carrier_frequency_ghz": None} and {
        key: value for key, value in TOLD.items() if key != "carrier_frequency_ghz"})
    assert "num_history: 5 + 2 to predict here" in line(a, tau, {**TOLD, "num_history": 5})
    assert "num_users: 3 here, but cir file" in line(a, tau, {**TOLD, "num_users": 3})
    assert "serves tdd and fdd_adjacent alone" in line(a, tau, {**TOLD, "duplex": "fdd_gapped_coherent"})


# --- live sources -------------------------------------------------------------------------------------------------

@pytest.fixture
def sources():
    """Register sources for one test."""
    before = dict(registry._registered)
    yield linksim.register
    registry._registered.clear()
    registry._registered.update(before)


LIVE = {**TOLD, "num_users": USERS, "ue_array": {"num_antennas": UE_ANT}}


def live(reading, channel=None, generator="source", **changes):
    return reading("", {**LIVE, **(channel or {})}, {"generator": generator}, **changes)


def test_a_function_may_return_a_callable_that_is_asked_under_the_chunks_seed(sources, reading):
    asked = []

    @sources("cir_source", "source")
    def source(power: float = 1.0):
        def respond(batch_size, num_time_steps, sampling_frequency):
            asked.append((batch_size, num_time_steps, sampling_frequency))
            a = power * torch.randn(batch_size, USERS, UE_ANT, 1, BS_ANT, PATHS, num_time_steps, dtype=torch.complex64)
            return a, 1e-6 * torch.rand(batch_size, USERS, 1, PATHS)

        return respond

    scenario = live(reading, {"normalization": "none"}, {"type": "source", "power": 3})
    first, again, other = (chunk_of_drops(scenario.channel, 2, seed, 0).history.h for seed in (1, 1, 2))
    assert asked[0] == (2, 6, 1000.0)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.abs().square().mean()) == pytest.approx(9 * PATHS, rel=0.3)


def test_a_cir_dataset_is_taken_in_order_whatever_the_order_of_the_work(sources, reading):
    a, tau = responses(10)

    @sources("cir_source", "source")
    class Recorded:
        """Of a measurement."""

        def __new__(cls):
            from sionna.phy.channel import CIRDataset

            return CIRDataset(lambda: zip(a, tau), 3, USERS, UE_ANT, 1, BS_ANT, PATHS, TIMES)

    scenario = live(reading, {"normalization": "none"})
    for chunk in (3, 0, 1, 4, 2):
        drops = chunk_of_drops(scenario.channel, 2, 0, chunk)
        expected = sionna_response(a[2 * chunk:2 * chunk + 2], tau[2 * chunk:2 * chunk + 2], drops.history.frequency_hz)
        torch.testing.assert_close(drops.history.h, expected[..., :4, :], rtol=1e-3, atol=1e-4)
    with pytest.raises(LinksimError, match="ends before chunk 5 of 2 drops"):
        chunk_of_drops(scenario.channel, 2, 0, 5)
    with pytest.raises(LinksimError, match="training_path"):
        chunk_of_drops(scenario.channel, 2, 0, 0, split="training")


def test_a_live_source_runs_from_a_plugin(scenario_file, command, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("""
import torch

import linksim


@linksim.register("cir_source", "two_ray")
def two_ray(delay_us: float = 0.5):
    '''Two rays of equal power.'''
    def respond(batch_size, num_time_steps, sampling_frequency):
        a = torch.randn(batch_size, 1, 1, 1, 2, 2, 1, dtype=torch.complex64).repeat(1, 1, 1, 1, 1, 1, num_time_steps)
        tau = torch.tensor([0.0, delay_us * 1e-6]).expand(batch_size, 1, 1, 2)
        return a, tau
    return respond
""")
    path = scenario_file({"plugins": ["mine.py"], "channel.source": "files", "bounds": ["sum_capacity"],
                          "channel.files": {"format": "cir", "generator": {"type": "two_ray", "delay_us": 1}}})
    outcome = command("run", path, "--output", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "cir_source two_ray" in outcome.out
    assert "Two rays of equal power." in command("blocks", "two_ray").out
    wrong = command("run", path, "--output", tmp_path / "out2", "--set", "channel.files.generator.delay_us=no")
    assert wrong.code == 2
    assert "option 'delay_us'" in wrong.line
    wrong = command("run", path, "--output", tmp_path / "out2", "--set", "channel.num_users=2")
    assert wrong.code == 2
    assert "channel.num_users: 2 here, but cir_source 'two_ray' has 1" in wrong.line
    del registry._registered["cir_source", "two_ray"]


def test_a_source_that_is_none_is_refused(sources, reading, refused):
    assert "unknown cir_source 'nobody'" in refused("", LIVE, {"generator": "nobody"})

    @sources("cir_source", "source")
    def source():
        return 3

    with pytest.raises(LinksimError, match="neither a CIRDataset nor callable"):
        chunk_of_drops(live(reading).channel, 2, 0, 0)
    assert "needs the rays" in refused("", {**LIVE, "duplex": "fdd_gapped_coherent"}, {"generator": "source"})
    assert "bounds: genie_lmmse: needs the rays" in refused("", LIVE, {"generator": "source"}, bounds=["genie_lmmse"])
