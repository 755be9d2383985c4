"""DeepMIMO path parameters as channels of terminals that have places."""

import numpy as np
import pytest
import torch

from linksim.channel.ray_traced.drops import table_note
from linksim.channel.ray_traced.path_tables import path_table
from linksim.channel.source import chunk_of_drops, places_of
from linksim.core.errors import ScenarioError
from linksim.scenario.channel import Channel


def arrays():
    nothing = np.full((3, 2), np.nan)
    power, zero = nothing.copy(), np.zeros((3, 2))
    power[0], power[1, 0] = (-80, -90), -100  # the last user has no path
    delay = np.where(np.isfinite(power), 4e-7, np.nan)
    return {"rx_pos": np.array([[50.0, 10, 1.5], [80, -20, 1.5], [60, 0, 1.5]]), "tx_pos": np.array([[0.0, 0, 10]]),
            "power": power, "phase": np.where(np.isfinite(power), 30.0, np.nan), "delay": delay,
            "los": np.array([1, 0, -1]), "aod_el": zero + 95, "aod_az": zero + 11,
            "aoa_el": zero + 85, "aoa_az": zero - 169}


def channel(path, **options):
    return Channel.model_validate({
        "source": "ray_traced", "carrier_frequency_ghz": 3.5, "num_subcarriers": 8, "subcarrier_spacing_khz": 720,
        "num_history": 1, "num_future": 1, "speed_kmh": 0,
        "bs_array": {"rows": 1, "columns": 8, "polarization": "single"},
        "ray_traced": {"scene": str(path), "split": "random", "test_share": 1.0, "validation_share": 0.0, **options}})


def test_users_with_a_path_stand_where_the_file_says(tmp_path):
    np.savez(tmp_path / "asu.npz", **arrays())
    here = channel(tmp_path / "asu.npz")
    table = path_table(here)
    assert len(table) == 2
    assert table.about["candidates"] == 3
    torch.testing.assert_close(10 * table.total_gain.log10(), torch.tensor([-79.586, -100.0]), atol=1e-3, rtol=0)
    assert table.line_of_sight.tolist() == [True, False]
    places = places_of(chunk_of_drops(here, 2, 0, 0), here)
    assert sorted(places.offset_m[:, 0, 1].tolist()) == [-20, 10]
    assert table_note(here).endswith("traced by others (asu); drops stand on 2 of them")
    assert not places.maps.any()  # the file says nothing of buildings


def test_angles_and_phases_are_kept(tmp_path):
    np.savez(tmp_path / "asu.npz", **arrays())
    table = path_table(channel(tmp_path / "asu.npz"))
    torch.testing.assert_close(table.departure[0, 0], torch.tensor([95.0, 11.0]).deg2rad())
    turned = -2 * np.pi * torch.remainder(table.delay_s.double() * 3.5e9, 1)
    whole = table.transfer[..., 0, 0].angle() + turned
    assert torch.remainder(whole[0], 2 * np.pi) == pytest.approx(np.radians(30), abs=1e-3)


@pytest.mark.parametrize(("changes", "line"), [
    ({"tx_pos": None}, "no array 'tx_pos'"), ({"delay": np.zeros((3, 5))}, r"delay has shape \[3, 5\]"),
    ({"tx_pos": np.zeros((2, 3))}, "one base station at a time"), ({"los": np.zeros(5)}, "los has 5 values"),
])
def test_arrays_that_do_not_fit_are_refused(tmp_path, changes, line):
    held = {**arrays(), **changes}
    np.savez(tmp_path / "x.npz", **{name: value for name, value in held.items() if value is not None})
    with pytest.raises(ScenarioError, match=line):
        path_table(channel(tmp_path / "x.npz"))


def test_where_it_stands_is_not_to_be_said_twice(tmp_path):
    np.savez(tmp_path / "asu.npz", **arrays())
    with pytest.raises(ValueError, match="says where its base stations stand"):
        channel(tmp_path / "asu.npz", position_m=(0, 0, 10))


@pytest.mark.parametrize(("name", "value", "words"), [
    ("rx_pos", np.nan, "rx_pos has places that are not finite"), ("power", np.inf, "gains of the terminal at x = 50 m"),
    ("power", 1e300, "gains of the terminal at"), ("delay", -1e-9, "delays of the terminal at"),
    ("delay", 1e300, "delays of the terminal at"), ("aod_az", np.nan, "departures of the terminal at"),
    ("aoa_el", np.inf, "arrivals of the terminal at"), ("phase", np.nan, "gains of the terminal at"),
])
def test_path_parameters_that_are_none_are_named(name, value, words, tmp_path):
    held = arrays()
    held[name][0, 0] = value
    np.savez(tmp_path / "asu.npz", **held)
    with pytest.raises(ScenarioError, match=words) as error:
        path_table(channel(tmp_path / "asu.npz"))
    assert str(tmp_path / "asu.npz") in str(error.value)


def test_complex_places_are_none(tmp_path):
    np.savez(tmp_path / "asu.npz", **{**arrays(), "rx_pos": arrays()["rx_pos"] * 1j})
    with pytest.raises(ScenarioError, match="rx_pos holds complex128, but real numbers are needed"):
        path_table(channel(tmp_path / "asu.npz"))
