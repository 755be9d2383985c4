"""The networks are those of Tables 7.8-1 and 7.8-2."""

import math

import pytest
import torch
from sionna.sys import gen_tr38901_multicell_topology

from linksim.core.seeding import sionna_seed
from studies.calibration.ports import steered_port
from studies.calibration.reference import reference_curve
from studies.calibration.setups import Network, networks, sectors
from studies.calibration.study import all_setups, num_parts
from studies.calibration.wrap_around import image_offsets_m


def topology(setup, part, seed=1):
    with sionna_seed(seed):
        return setup.draw_model(part)._scenario


@pytest.mark.parametrize(("scenario", "height_m", "nearest_m"), [("uma", 25.0, 35.0), ("umi", 10.0, 10.0)])
def test_network(scenario, height_m, nearest_m):
    setup = Network(scenario, 6e9, "configuration 2")
    drawn = [topology(setup, part, seed=part) for part in range(12)]
    assert drawn[0].los.shape == (1, 57, 19)
    assert drawn[0].bs_loc[..., 2].unique().tolist() == [height_m]
    bearings = torch.rad2deg(drawn[0].bs_orientations[0, :3, 0]).tolist()
    assert bearings == pytest.approx([30.0, 150.0, 270.0])
    outdoor = torch.cat([one.distance_2d_out.flatten() for one in drawn])
    assert outdoor.min() >= nearest_m - 1e-3
    indoor = torch.cat([one.indoor.flatten() for one in drawn]).double().mean()
    assert indoor == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 228))
    heights = torch.cat([one.ut_loc[..., 2].flatten() for one in drawn])
    assert set(heights.tolist()) <= {1.5 + 3 * floor for floor in range(8)}
    orientation = torch.cat([one.ut_orientations.flatten(0, 1) for one in drawn])
    assert orientation[:, 1].unique().tolist() == pytest.approx([math.pi / 2])
    assert orientation[:, 0].std() == pytest.approx(2 * math.pi / math.sqrt(12), rel=0.15)
    assert [one.o2i_model for one in drawn[:2]] == ["low", "high"]


def test_a_part_is_one_sector_of_every_site():
    parts = [topology(Network("uma", 6e9, "large scale"), part) for part in range(3)]
    nearest = [one.distance_2d[0].argmin(0) // 3 for one in parts]
    assert all(torch.equal(sites, torch.arange(19)) for sites in nearest)
    assert not torch.equal(parts[0].ut_loc, parts[1].ut_loc)


def test_images_tile_the_plane():
    drawn = topology(Network("umi", 6e9, "large scale"), 0)
    sites = drawn.bs_loc[0, ::3, :2].double()
    images = (sites.unsqueeze(1) + image_offsets_m(200.0)).flatten(0, 1)
    assert len(images) == 7 * 19
    assert torch.pdist(images).min() == pytest.approx(200.0)
    # the nearest image is never farther than the cluster's own radius
    assert drawn.distance_2d.max() < 200.0 * math.sqrt(19 / 3) + 1e-3


def test_sionnas_own_images_overlap():
    """The reason for `studies.calibration.wrap_around`; when this fails, Sionna is mended and the file can go."""
    with sionna_seed(1):
        drawn = gen_tr38901_multicell_topology("uma", 4, 2, 6e9, precision="single", device="cpu")
    distance = (drawn[0].unsqueeze(1) - drawn[7])[..., :2].norm(dim=-1)
    own = torch.arange(19).repeat_interleave(6)
    assert (distance.argmin(1) // 3 != own).any()


def test_powers_and_bandwidths():
    values = {(setup.scenario, setup.carrier_hz): (setup.transmit_power_dbm, setup.bandwidth_hz)
              for setup in networks("large scale")}
    assert values == {("uma", 6e9): (49.0, 20e6), ("uma", 30e9): (35.0, 100e6),
                      ("umi", 6e9): (44.0, 20e6), ("umi", 30e9): (35.0, 100e6)}


@pytest.mark.parametrize(("phase", "elements"), [("large scale", 10), ("configuration 1", 16)])
def test_port_points_to_its_downtilt(phase, elements):
    setup = Network("uma", 6e9, phase)
    array = setup.bs_array()
    weights = setup.ports(array)[:, 0]
    assert weights.abs().square().sum() == pytest.approx(1.0)
    assert (weights != 0).sum() == elements
    zenith = torch.deg2rad(torch.arange(60.0, 140.0))
    direction = torch.stack([zenith.sin(), torch.zeros_like(zenith), zenith.cos()], -1)
    phases = 2 * torch.pi * 6e9 / 299792458 * direction @ array.ant_pos.mT
    factor = (torch.polar(torch.ones_like(phases), phases) @ weights).abs().square()
    assert factor.argmax() == 42  # 102 degrees
    assert factor.max() == pytest.approx(elements, rel=1e-4)


def test_configuration_2_measures_its_first_element():
    setup = Network("umi", 30e9, "configuration 2")
    assert setup.ports(setup.bs_array())[:, 0].tolist() == [1, 0, 0, 0]
    array = setup.bs_array()
    assert steered_port(array, 30e9, 90.0).abs().unique().tolist() == pytest.approx([0.5])


def test_sectors_are_linksims_scenarios():
    for setup in sectors():
        drawn = topology(setup, 0)
        assert drawn.los.shape == (16, 1, 4)
        assert not drawn.indoor.any()
        assert setup.channel.bs_array.num_antennas == 32


def test_parts_are_even_so_that_half_have_high_loss():
    for setup in all_setups():
        for drops in (1, 2, 3, 16):
            assert all(number % 6 == 0 and number > 0 for number in num_parts(setup, drops))


def test_reference_curves():
    curves = {(setup.name, metric): reference_curve(setup, metric) for setup in all_setups()
              for metric in ("coupling_gain_db", "sir_db", "sinr_db", "delay_spread_ns", "largest_singular_db")}
    for curve in filter(None, curves.values()):
        assert (curve[1][1:] > curve[1][:-1]).all()
    percentiles, values = curves["UMa 6 GHz, large scale", "coupling_gain_db"]
    assert dict(zip(percentiles, values))[50] == -120.3
    assert curves["UMa 2.4 GHz, single sector", "coupling_gain_db"] is None
    assert curves["UMa 6 GHz, configuration 2", "delay_spread_ns"] is None
