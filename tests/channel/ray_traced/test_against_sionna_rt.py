"""linksim's sum over traced paths is Sionna RT's own, for the same arrays, orientations and velocities."""

import math

import numpy as np
import pytest
import torch

from linksim.channel.drops import bands
from linksim.channel.ray_traced.rays import to_rays
from linksim.channel.ray_traced.scene import candidate_positions, load_scene
from linksim.channel.ray_traced.tracing import solve, trace, trace_positions
from linksim.channel.response import frequency_response
from linksim.core.errors import ScenarioError
from linksim.scenario.channel import BsArray, UeArray
from linksim.scenario.ray_traced import RayTraced

pytestmark = pytest.mark.slow  # the first tracing compiles for tens of seconds

OPTIONS = RayTraced(scene="simple_street_canyon", azimuth_deg=30, max_depth=2, diffraction=False, rays_launched=20_000,
                    grid_spacing_m=20)


@pytest.mark.parametrize(("bs_array", "ue_array"), [
    (BsArray(rows=2, columns=3, polarization="dual", pattern="38.901", downtilt_deg=12),
     UeArray(num_antennas=2, polarization="dual")),
    (BsArray(rows=1, columns=4, polarization="single", pattern="omni", downtilt_deg=0), UeArray(num_antennas=2)),
])
def test_response_is_that_of_sionna_rt(sionna_rt, make_channel, bs_array, ue_array):
    import mitsuba as mi

    channel = make_channel(ray_traced=OPTIONS, bs_array=bs_array, ue_array=ue_array, precision="double", speed_kmh=90)
    carrier_hz = channel.carrier_frequency_ghz * 1e9
    scene = load_scene(OPTIONS, carrier_hz)
    grid = candidate_positions(scene, OPTIONS)
    positions = trace_positions(sionna_rt, scene, OPTIONS, carrier_hz, grid).position_m.numpy()[-4:]
    table = trace_positions(sionna_rt, scene, OPTIONS, carrier_hz, positions)
    assert len(table) == len(positions)
    heading, turned = (torch.linspace(first, 5, len(positions)).double()[None] for first in (0.3, -2))
    rays = to_rays(table, torch.arange(len(positions))[None], channel, heading, turned)
    band, _ = bands(channel)
    period_s = 1e-3
    ours = frequency_response(rays, carrier_hz, period_s * torch.arange(3).double(), band.frequency_hz - carrier_hz)

    def array(one, columns, rows):
        return sionna_rt.PlanarArray(
            num_rows=rows, num_cols=columns, pattern={"38.901": "tr38901", "omni": "iso"}[one.pattern],
            polarization={"dual": "cross", "single": "V"}[one.polarization])

    scene.tx_array = array(bs_array, bs_array.columns, bs_array.rows)
    scene.rx_array = array(ue_array, 1 if ue_array.polarization == "dual" else 2, 1)
    scene.transmitters["bs"].orientation = mi.Point3f(math.radians(30), math.radians(bs_array.downtilt_deg), 0)
    for number in range(len(positions)):
        device = scene.receivers[f"ue{number}"]
        device.orientation = mi.Point3f(float(turned[0, number]), 0, 0)
        angle = float(heading[0, number])
        device.velocity = mi.Vector3f(25 * math.cos(angle), 25 * math.sin(angle), 0)
    theirs = solve(sionna_rt, scene, OPTIONS).cfr(
        frequencies=mi.Float((band.frequency_hz - carrier_hz).numpy().astype(np.float32)),
        sampling_frequency=1 / period_s, num_time_steps=3, normalize_delays=True, out_type="numpy")
    theirs = torch.from_numpy(theirs[:, :, 0]).to(ours)  # rx, rx_ant, tx_ant, time, frequency
    # there the first path also gives the phase its origin; it keeps that of its whole way here
    first_s = torch.where(table.path_gain > 0, table.delay_s.double(), torch.inf).amin(-1)
    theirs *= torch.polar(torch.ones_like(first_s), -2 * math.pi * carrier_hz * first_s)[:, None, None, None, None]
    error = (ours[0] - theirs).abs().square().sum((1, 2, 3, 4)) / theirs.abs().square().sum((1, 2, 3, 4))
    print(error)
    assert error.max().sqrt() < 1e-4, error


def test_tracing_twice_gives_the_same_table(sionna_rt):
    first, second = (trace(OPTIONS, 3.4e9, lambda text: None).to_tensors() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_positions_are_outdoors_and_the_paths_physical(sionna_rt):
    table = trace(OPTIONS, 3.4e9, lambda text: None)
    assert torch.all(table.position_m[:, 2].abs() < 2)  # none on a roof
    distance = (table.position_m - table.bs_position_m).norm(dim=-1)
    assert torch.all(table.delay_s[table.path_gain > 0].min() >= distance.min() / 299792458 * (1 - 1e-5))
    direct = table.at(table.line_of_sight)
    free_space = (299792458 / 3.4e9 / (4 * math.pi * (direct.position_m - table.bs_position_m).norm(dim=-1))).square()
    assert len(direct)
    assert torch.all((direct.path_gain / free_space[:, None] - 1).abs().min(-1).values < 1e-3)


def test_no_path_is_one_line_that_says_what_to_do(sionna_rt):
    with pytest.raises(ScenarioError, match="position_m"):
        trace(OPTIONS.model_copy(update={"position_m": (0.0, 0.0, -50.0), "refraction": False}), 3.4e9,
              lambda text: None)
