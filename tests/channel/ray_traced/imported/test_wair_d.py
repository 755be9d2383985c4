"""WAIR-D: areas that others traced become channels, and nothing in their files is run."""

import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from linksim.channel.ray_traced.imported.wair_d import read_objects
from linksim.channel.ray_traced.maps import height_map
from linksim.channel.ray_traced.path_tables import path_table
from linksim.channel.source import chunk_of_drops, places_of
from linksim.core.errors import ScenarioError
from linksim.loading.load import load_scenario
from linksim.scenario.channel import Channel

WIDTH, HEIGHT = 120.0, 100.0
BS = [(20.0, 50.0), (100.0, 50.0)]
UES = [(80.0, 60.0), (60.0, 40.0), (100.0, 55.0)]
LIGHT = 299_792_458.0


def save(path, value):
    with open(path, "wb") as file:
        np.save(file, np.array(value, dtype=object), allow_pickle=True)


def write_area(folder, number=0, picture=True):
    """Two base stations, three terminals; the last has no path to the first."""
    area = folder / f"{number:05d}"
    area.mkdir(parents=True)
    rows, paths, gains = [], {}, {}
    for station, bs in enumerate(BS):
        for user, ue in enumerate(UES):
            name = f"bs{station}_ue{user:05d}"
            rows.append([*bs, *ue])
            offset = np.array([*ue, 1.5]) - np.array([*bs, 6.0])
            distance = np.linalg.norm(offset)
            angle = [np.arccos(offset[2] / distance), np.arctan2(offset[1], offset[0])]
            back = [np.pi - angle[0], np.arctan2(-offset[1], -offset[0])]
            count = 0 if (station, user) == (0, 2) else 2
            paths[name] = {"taud": np.array([distance, distance + 30.0])[:count] / LIGHT * 1e9,
                           "dod": np.array([angle, [1.6, angle[1] + 0.3]])[:count],
                           "doa": np.array([back, [1.6, 2.0]])[:count]}
            gains[name] = (np.array([1e-4, 2e-5j]) / (1 + user))[:count]
    np.save(area / "Info.npy", np.vstack([[WIDTH, HEIGHT, 0, 0], rows]))
    save(area / "Path.npy", paths)
    save(area / "H_2_6_G.npy", gains)
    if picture:  # rows lead down: read the other way, a terminal would stand in a house
        seen = np.full((50, 60), 255, dtype=np.uint8)
        seen[27:33, 38:42] = 0
        Image.fromarray(seen).save(area / "environment.png")
    return area


def channel(folder, carrier=2.6, **options):
    options = {"scene": f"{folder}", "sector_deg": 360, "synchronized": False, "split": "random", "test_share": 1.0,
               "validation_share": 0.0, **options}
    return Channel.model_validate({
        "source": "ray_traced", "ray_traced": options, "carrier_frequency_ghz": carrier, "num_subcarriers": 8,
        "subcarrier_spacing_khz": 720, "num_history": 1, "num_future": 1, "speed_kmh": 0,
        "bs_array": {"rows": 1, "columns": 8, "polarization": "single"}})


def test_paths_are_those_of_the_files(tmp_path):
    write_area(tmp_path)
    table = path_table(channel(tmp_path))
    assert len(table) == 2
    assert table.about["candidates"] == 3  # one has no path: counted, not filled with zeros
    torch.testing.assert_close(table.total_gain, torch.tensor([1.04e-8, 1.04e-8 / 4]))
    assert table.line_of_sight.all()
    assert table.bs_position_m[0].tolist() == [20, 50, 6]
    # the whole phase at the carrier is that of the gains
    turned = -2 * np.pi * torch.remainder(table.delay_s.double() * 2.6e9, 1)
    whole = table.transfer[..., 0, 0].to(torch.complex128) * torch.polar(torch.ones_like(turned), turned)
    torch.testing.assert_close(whole[0], torch.tensor([1e-4, 2e-5j], dtype=torch.complex128), atol=1e-8, rtol=1e-4)
    second = path_table(channel(tmp_path, base_station=1))
    assert len(second) == 2
    assert second.bs_position_m[0].tolist() == [100, 50, 6]  # one stands too near


def test_drops_have_places_and_a_map(tmp_path):
    write_area(tmp_path)
    here = channel(tmp_path)
    places = places_of(chunk_of_drops(here, 2, 0, 0), here)
    found = sorted(tuple(round(part, 3) for part in one[:2]) for one in places.offset_m[:, 0].tolist())
    assert found == [(40.0, -10.0), (60.0, 10.0)]
    heights = height_map(here.ray_traced)
    assert set(heights.unique().tolist()) == {0.0, 20.0}
    # the house covers x from 76 to 84 and y from 34 to 46: 60 m ahead and 10 m to the right
    row, column = (heights == 20).nonzero().double().mean(0).tolist()
    assert (column + 0.5) * 4 - 104 == pytest.approx(60, abs=3)
    assert (row - 64 + 0.5) * 4 == pytest.approx(-10, abs=3)


def test_several_areas_are_dealt_whole(tmp_path):
    for number in range(4):
        write_area(tmp_path, number, picture=False)
    here = channel(tmp_path, num_areas=4, split="areas", test_share=0.5, validation_share=0.25)
    assert path_table(here).area.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(path_table(channel(tmp_path, num_areas=4, positions_per_area=1))) == 4
    assert not height_map(channel(tmp_path).ray_traced).any()


@pytest.mark.parametrize(("options", "line"), [
    ({"first_area": 7}, "has no area 7: they go from 0 to 0"), ({"base_station": 2}, "has 2 base stations"),
    ({"radius_m": 12}, "no terminal of"),
])
def test_what_is_not_there_is_one_line(tmp_path, options, line):
    write_area(tmp_path)
    with pytest.raises(ScenarioError, match=line):
        path_table(channel(tmp_path, **options))


def test_another_carrier_is_refused(tmp_path):
    write_area(tmp_path)
    with pytest.raises(ScenarioError, match=r"has gains \(H_<GHz>_G.npy\) at 2.6 GHz, not at 28"):
        path_table(channel(tmp_path, 28.0))


def test_links_without_gains_are_refused(tmp_path):
    save(write_area(tmp_path) / "H_2_6_G.npy", {"bs0_ue00000": np.array([1.0, 2.0, 3.0])})
    with pytest.raises(ScenarioError, match="bs0_ue00000: as many gains"):
        path_table(channel(tmp_path))


class _Wicked:
    def __reduce__(self):
        return os.system, ("touch it_ran",)


def test_nothing_that_a_file_asks_for_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "wicked.npy", {"bs0_ue0": _Wicked()})
    with pytest.raises(ScenarioError, match=r"it asks for \w+\.system, but arrays alone are read"):
        read_objects(tmp_path / "wicked.npy")
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("content", [b"", b"no array", pickle.dumps({"a": 1})])
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ScenarioError, match="cannot be read"):
        read_objects(tmp_path / "x.npy")


def test_a_scenario_names_a_folder_beside_it(scenario_file, tmp_path):
    write_area(tmp_path / "wair_d")
    path = scenario_file({"channel.source": "ray_traced", "channel.ray_traced": {
        "scene": "./wair_d", "sector_deg": 360, "test_share": 1.0, "validation_share": 0.0},
        "channel.carrier_frequency_ghz": 2.6})
    options = load_scenario(path).channel.ray_traced
    assert options.of_folder
    assert len(options.scene_sha256) == 64
    path.write_text(path.read_text().replace("./wair_d", "./elsewhere"))
    with pytest.raises(ScenarioError, match="no such file or folder"):
        load_scenario(path)


@pytest.mark.parametrize(("file", "change", "words"), [
    ("Path.npy", {1: 2}, "a dict of links"), ("Path.npy", {"bs0_ue00000": None}, "links"),
    ("Info.npy", np.zeros((0, 4)), "width and height"), ("Info.npy", np.ones((7, 4)) * 1j, "width and height"),
    ("taud", np.array([np.nan, 1.0]), "delays of the terminal at x = 80 m, y = 60 m"),
    ("dod", np.full((2, 2), np.inf), "departures of the terminal at"),
    ("doa", np.full((2, 2), 1e300), "arrivals of the terminal at"), ("doa", np.ones((2, 2)) * 1j, "bs0_ue00000"),
])
def test_what_is_no_such_file_is_one_line(file, change, words, tmp_path):
    area = write_area(tmp_path)
    if file.endswith(".npy"):
        save(area / file, change) if isinstance(change, dict) else np.save(area / file, change)
    else:
        paths = read_objects(area / "Path.npy")
        paths["bs0_ue00000"][file] = change
        save(area / "Path.npy", paths)
    with pytest.raises(ScenarioError, match=words) as error:
        path_table(channel(tmp_path))
    assert str(tmp_path) in str(error.value)
