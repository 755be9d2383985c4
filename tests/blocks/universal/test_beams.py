"""The beam towards a terminal is the best one where the straight line is all there is."""

import pytest
import torch

from linksim.blocks.universal.base import EnvironmentView, UniversalShape
from linksim.channel.ray_traced.drops import ray_traced_drops
from linksim.core import registry
from linksim.core.csi import Panel
from linksim.mimo.angle_delay import dft_codebook
from linksim.scenario.channel import BsArray
from linksim.scenario.ray_traced import RayTraced


@pytest.mark.parametrize(("rows", "columns", "polarization"), [(1, 8, "single"), (4, 4, "single"), (8, 1, "single"),
                                                               (2, 4, "dual")])
def test_it_is_the_strongest_where_nothing_but_the_line_of_sight_is(make_table, make_channel, made, rows, columns,
                                                                    polarization):
    array = BsArray(rows=rows, columns=columns, polarization=polarization, pattern="omni", downtilt_deg=0)
    channel = make_channel(bs_array=array, speed_kmh=0, num_history=1, num_future=1,
                           ray_traced=RayTraced(azimuth_deg=0))
    made(make_table(num=200, num_paths=1), channel)
    drops = ray_traced_drops(channel, 100, 3)
    rays, panel = drops.uplink_rays, Panel(rows, columns, 2 if polarization == "dual" else 1)
    offset = (rays.position_user_m - rays.position_bs_m)[:, 0].float()
    view = EnvironmentView(offset, torch.full((100,), 25.0), torch.zeros(100, dtype=torch.long), torch.zeros(1, 4, 4))
    block = registry.create("universal", "pointing")
    block.prepare(UniversalShape(1, panel, 8, 180e3))
    told = block.answer("beam", view).unflatten(1, (panel.polarizations, -1)).sum(1)  # whichever the wave has
    h = drops.future.h[:, 0, :, :, 0, :]
    power = (h.mT @ dft_codebook(panel).to(h)).abs().square().sum((1, 2))
    found = (power / power.sum(1, keepdim=True)).unflatten(1, (panel.polarizations, -1)).sum(1)
    torch.testing.assert_close(told, found, atol=2e-3, rtol=0)
