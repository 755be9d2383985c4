"""Nothing believes a speed that neither a channel file nor its scenario says."""

import numpy as np
import pytest

from linksim.channel.source import chunk_of_drops
from linksim.core.errors import ScenarioError
from linksim.experiment.plan import make_plan
from linksim.loading.load import load_scenario, scenario_from_dict
from linksim.scenario.identity import scenario_hash

TOLD = {"carrier_frequency_ghz": 3.5, "csi_period_ms": 1.0, "num_subcarriers": 6, "num_history": 4, "num_future": 2,
        "bs_array": {"rows": 1, "columns": 2, "polarization": "single"}}


@pytest.fixture
def recorded(tmp_path):
    """A scenario that reads impulse responses of six times, as a dictionary."""
    rng = np.random.default_rng(0)
    shape = (4, 1, 1, 1, 2, 3, 6)
    np.savez(tmp_path / "cir.npz", a=rng.normal(size=shape) + 1j * rng.normal(size=shape),
             tau=rng.uniform(0, 1e-6, (4, 1, 1, 3)))

    def recorded(channel=None, **changes):
        return {"channel": {"source": "files", "files": {"path": str(tmp_path / "cir.npz")}, **TOLD, **(channel or {})},
                "methods": ["hold"], "bounds": [],
                "run": {"chunk_size": 2, "units_per_round": 2, "threads_per_worker": 1,
                        "stopping": {"min_drops": 2, "max_drops": 4, "adaptive": False}}, **changes}

    return recorded


@pytest.mark.parametrize("method", ["wiener", "sparse_bayesian", "unfolded_sparse_bayesian",
                                    {"name": "off", "predictor": {"type": "wiener", "doppler": "mismatched"}}])
def test_a_known_doppler_shift_needs_a_speed(method, recorded):
    with pytest.raises(ScenarioError, match=r"methods\.1\.predictor: .* write channel\.speed_kmh, or doppler"):
        scenario_from_dict(recorded(methods=["hold", method]))


def test_what_estimates_it_or_is_told_it_goes_on(recorded):
    estimated = {"name": "W", "predictor": {"type": "wiener", "doppler": "estimated"}}
    assert not scenario_from_dict(recorded(methods=[estimated])).channel.files.speed_known
    assert scenario_from_dict(recorded({"speed_kmh": 3}, methods=["wiener"])).channel.files.speed_known
    swept = scenario_from_dict(recorded(methods=["wiener"], sweep={"channel.speed_kmh": [3, 30]}))
    assert swept.channel.files.speed_known


def test_a_receiver_that_filters_by_the_doppler_shift_needs_one(recorded):
    coded = {"mode": "coded", "coding": {"receiver": "lmmse", "mcs": 4}}
    with pytest.raises(ScenarioError, match=r"link.coding.receiver: lmmse takes the Doppler shift"):
        scenario_from_dict(recorded(link=coded))


def test_blocks_see_that_it_is_unknown(recorded):
    unknown = scenario_from_dict(recorded())
    assert chunk_of_drops(unknown.channel, 2, 1, 0).history.max_doppler_hz.isnan().all()
    told = scenario_from_dict(recorded({"speed_kmh": 36}))
    found = chunk_of_drops(told.channel, 2, 1, 0).history.max_doppler_hz
    assert float(found.mean()) == pytest.approx(10 * 3.5e9 / 299792458)


def test_identities_do_not_depend_on_it(recorded):
    unknown, told = (scenario_from_dict(recorded(channel)) for channel in ({}, {"speed_kmh": 30}))
    assert scenario_hash(unknown) == scenario_hash(told)
    assert make_plan(unknown).channel_points[0].label == make_plan(told).channel_points[0].label


def test_an_exported_file_does_not_know_it_either(recorded, command, tmp_path):
    import yaml

    (tmp_path / "first.yaml").write_text(yaml.safe_dump(recorded()))
    outcome = command("dataset", tmp_path / "first.yaml", "--num-drops", 4, "--out", tmp_path / "again.h5")
    assert outcome.code == 0, outcome.err
    second = {**recorded(), "channel": {"source": "files", "files": {"path": str(tmp_path / "again.h5")}}}
    (tmp_path / "second.yaml").write_text(yaml.safe_dump(second))
    assert not load_scenario(tmp_path / "second.yaml").channel.files.speed_known
    outcome = command("run", tmp_path / "second.yaml", "--output", tmp_path / "out")
    assert "at unknown speed" in " ".join(outcome.out.split())
    second["channel"]["speed_kmh"] = 36
    (tmp_path / "second.yaml").write_text(yaml.safe_dump(second))
    channel = load_scenario(tmp_path / "second.yaml").channel
    assert channel.files.speed_known
    assert chunk_of_drops(channel, 2, 1, 0).history.max_doppler_hz.isfinite().all()
