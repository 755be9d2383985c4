"""What is exported comes back bit for bit, and a run on it is the run it came from."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from linksim.bounds.genie import genie_lmmse
from linksim.channel.files.opened import open_channel_files
from linksim.channel.source import chunk_of_drops
from linksim.core.csi import Observation
from linksim.experiment.plan import make_plan, unit_seed
from linksim.experiment.run import run
from linksim.loading.load import scenario_from_dict
from linksim.metrics import nmse

DUPLEX = ["tdd", "fdd_adjacent", "fdd_gapped_coherent", "fdd_gapped_independent"]
DUAL = {"channel.num_users": 2, "channel.bs_array": {"rows": 2, "columns": 1, "polarization": "dual"},
        "channel.ue_array": {"num_antennas": 2}}


def drops_of(scenario, point=0, chunk=0):
    plan = make_plan(scenario)
    at = plan.channel_points[point]
    return chunk_of_drops(at.points[0][1].channel, scenario.run.chunk_size, unit_seed(scenario, at, chunk), chunk)


def assert_same(stored, drawn):
    for one, other in ((stored.history, drawn.history), (stored.future, drawn.future)):
        for name in ("h", "time_s", "frequency_hz", "noise_variance", "max_doppler_hz"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
        assert one.panel == other.panel


def assert_same_numbers(folder, rtol=0.0):
    """Exactly, but for what is computed from rays: sums over them depend on how they lie in memory."""
    drawn, stored = (pd.read_csv(folder / name / "metrics.csv") for name in ("drawn", "stored"))
    assert len(drawn) > 3
    genie = drawn.method.str.startswith("genie")
    pd.testing.assert_frame_equal(drawn[~genie], stored[~genie], check_exact=rtol == 0, rtol=rtol or 1e-5)
    pd.testing.assert_frame_equal(drawn[genie], stored[genie], rtol=1e-4)


@pytest.mark.parametrize("name", ["drops.h5", "drops.npz", "drops.mat"])
@pytest.mark.parametrize("duplex", DUPLEX)
def test_drops_and_rays_come_back_bit_for_bit(name, duplex, exported, reading, tiny):
    changes = {**DUAL, "channel.duplex": duplex}
    path = exported(name, changes, num_drops=5)
    for chunk in (0, 1):
        stored = drops_of(reading(path), chunk=chunk)
        drawn = drops_of(scenario_from_dict(tiny(changes)), chunk=chunk)
        assert_same(stored, drawn)
        for end in ("uplink_rays", "downlink_rays"):
            tensors, other = getattr(stored, end).to_dict(), getattr(drawn, end).to_dict()
            assert tensors.keys() == other.keys()
            for key in tensors:
                assert torch.equal(tensors[key], other[key]), key
        assert (stored.downlink_rays is stored.uplink_rays) == (duplex != "fdd_gapped_independent")
        torch.testing.assert_close(stored.response(drawn.future.time_s).h, drawn.response(drawn.future.time_s).h)


@pytest.mark.parametrize("changes", [
    {"channel.duplex": "fdd_gapped_independent"},
    {"sweep": {"channel.speed_kmh": [60, 3], "link.snr_db": [0, 10]}, "acquisition.type": "pilots"},
    {"sweep": {"channel.duplex": ["fdd_adjacent", "tdd"], "acquisition.csi_snr_db": [0, 30]}},
    {"channel.model": "cdl_c", "channel.normalization": "drop", "channel.num_users": 2},
], ids=["independent", "speeds, pilots", "duplex", "cdl"])
def test_a_run_on_exported_drops_is_the_run_of_the_scenario(changes, exported, tiny, tmp_path):
    path = exported("drops.h5", changes, num_drops=4)
    methods = {"methods": ["perfect CSI", "hold", "wiener"]}
    data = tiny({**changes, **methods})
    run(scenario_from_dict(data), output=tmp_path / "drawn", report=False)
    data["channel"] = {"source": "files", "files": {"path": str(path)}}
    stored = scenario_from_dict(data)
    results = run(stored, output=tmp_path / "stored", report=False)
    assert_same_numbers(tmp_path)
    assert results.manifest["scenario"]["channel"]["files"]["sha256"] == stored.channel.files.sha256 != ""


def test_a_trained_block_learns_the_same_from_exported_training_drops(exported, tiny, tmp_path):
    changes = {"channel.speed_kmh": 30, "sweep": {"channel.speed_kmh": [30, 90]}, "methods": ["ridge"], "bounds": [],
               "training.num_drops": 500}
    test, training = exported("test.h5", changes, 4), exported("training.h5", changes, 250, split="training")
    data = tiny({**changes, "training.folder": str(tmp_path / "checkpoints")})
    run(scenario_from_dict(data), output=tmp_path / "drawn", report=False)
    data["channel"] = {"source": "files", "files": {"path": str(test), "training_path": str(training)}}
    run(scenario_from_dict(data), output=tmp_path / "stored", report=False)
    assert_same_numbers(tmp_path, rtol=1e-4)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2  # never taken for each other


def test_without_rays_a_file_is_smaller_and_knows_the_uplink_at_the_futures_times_alone(exported, reading, tiny):
    changes = {"channel.duplex": "fdd_adjacent"}
    whole, small = exported("whole.h5", changes), exported("small.h5", changes, with_rays=False)
    assert small.stat().st_size < whole.stat().st_size / 2
    stored, drawn = drops_of(reading(small)), drops_of(scenario_from_dict(tiny(changes)))
    assert_same(stored, drawn)
    assert stored.uplink_rays is None
    times = drawn.future.time_s
    assert torch.equal(stored.response(times).h, drawn.response(times).h)
    with pytest.raises(Exception, match="uplink's future is needed"):
        stored.response(times + 1)


def test_a_shorter_history_ends_where_the_future_begins_and_keeps_the_files_clock(exported, reading):
    path = exported("drops.h5", {"channel.num_history": 6, "channel.num_future": 3})
    whole = drops_of(reading(path))
    part = drops_of(reading(path, {"num_history": 2, "num_future": 2}))
    assert torch.equal(part.history.h, whole.history.h[..., -2:, :])
    assert torch.equal(part.future.h, whole.future.h[..., :2, :])
    assert part.history.time_s.tolist() == pytest.approx([2e-3, 2.5e-3])
    torch.testing.assert_close(part.response(part.future.time_s).h, part.future.h)
    observation = Observation(part.history.h, torch.ones(1, 1, 8, dtype=torch.bool), torch.full((2, 1), 1e-6))
    assert nmse(genie_lmmse(part, observation).h, part.future.h) < 1e-3


def test_drops_stored_as_drawn_are_normalised_on_reading(exported, reading, tiny):
    changes = {"channel.num_users": 2, "channel.path_loss": True, "channel.shadow_fading": True}
    path = exported("drops.h5", {**changes, "channel.normalization": "none"})
    as_drawn = scenario_from_dict(tiny({**changes, "channel.normalization": "none"}))
    seed = unit_seed(as_drawn, make_plan(as_drawn).channel_points[0], 0)
    for mode in ("user", "drop"):
        stored = drops_of(reading(path, {"normalization": mode}))
        drawn = chunk_of_drops(as_drawn.channel.model_copy(update={"normalization": mode}), 2, seed, 0)
        torch.testing.assert_close(stored.future.h, drawn.future.h, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(stored.uplink_rays.mean_gain(), drawn.uplink_rays.mean_gain(), rtol=1e-4, atol=1e-6)
    assert reading(path).channel.normalization == "none"
    assert drops_of(reading(path)).history.h.abs().max() < 1e-3


def test_hdf5_can_be_read_by_anyone(exported):
    """Keys, axes, units as docs/channel_files.md says."""
    path = exported("drops.h5", {"sweep": {"channel.speed_kmh": [3, 60], "channel.los": ["los", "nlos"]},
                                 "channel.duplex": "fdd_adjacent"}, num_drops=3)
    with h5py.File(path) as file:
        assert file["history/h"].shape == (12, 1, 1, 2, 4, 8)
        assert file["future/h"].shape == (12, 1, 1, 2, 2, 8)
        assert file["history/h"].dtype == np.complex64
        np.testing.assert_allclose(file["history/time_s"][1], np.arange(4) * 0.5e-3)
        np.testing.assert_allclose(np.diff(file["future/frequency_hz"][0]), 180e3)
        np.testing.assert_allclose(file["future/frequency_hz"][0, 0] - file["history/frequency_hz"][0, -1], 180e3)
        assert file["point"][:].tolist() == sorted([0, 1, 2, 3] * 3)
        assert file["swept/speed_kmh"][:].tolist() == [3] * 6 + [60] * 6
        assert file["swept/los"][:3].tolist() == [b"los"] * 3
        assert file["line_of_sight"][:3].all()
        assert not file["line_of_sight"][3:6].any()
        np.testing.assert_allclose(file["history/max_doppler_hz"][6:], 60 / 3.6 * 2.4e9 / 299792458, rtol=1e-6)
        assert file["panel"][0].tolist() == [1, 2, 1]
        header = json.loads(file["header"][0])
    for name, key in header["keys"].items():
        with h5py.File(path) as file:
            assert list(file[name].shape) == key["shape"], name


def test_a_file_of_ones_own_needs_no_more_than_the_table_says(tmp_path, reading):
    """Arrays made elsewhere, in linksim's layout."""
    rng = np.random.default_rng(0)
    h = (rng.normal(size=(6, 1, 1, 3, 5, 4)) + 1j * rng.normal(size=(6, 1, 1, 3, 5, 4))).astype(np.complex64)
    arrays = {"history/h": h[..., :4, :], "future/h": h[..., 4:, :], "point": np.zeros(6, np.int32),
              "history/max_doppler_hz": np.full((6, 1), 5.0, np.float32)}
    arrays["future/max_doppler_hz"] = arrays["history/max_doppler_hz"]
    header = {"split": "test", "seed": 0, "chunk_size": 1, "points": [{}], "format": "linksim channels", "version": 1,
              "channel": {"num_subcarriers": 4, "num_history": 4, "num_future": 1, "normalization": "none",
                          "bs_array": {"rows": 1, "columns": 3, "polarization": "single"}},
              "keys": {name: {"shape": list(array.shape), "dtype": array.dtype.str, "per_drop": True}
                       for name, array in arrays.items()}}
    np.savez(tmp_path / "mine.npz", header=json.dumps(header), **arrays)
    scenario = reading(tmp_path / "mine.npz", {"normalization": "user"})
    drops = drops_of(scenario, chunk=1)
    expected = h[2:4] / np.sqrt((np.abs(h[2:4, ..., :4, :]) ** 2).mean((2, 3, 4, 5), keepdims=True))
    np.testing.assert_allclose(drops.future.h.numpy(), expected[..., 4:, :], rtol=1e-5)
    assert open_channel_files(scenario.channel.files).header.has_rays is False
