"""Warnings where pilots are too sparse."""

import re

import pytest
import torch

from linksim.channel.statistical.drops import draw_drops
from linksim.link.chain import simulate_chunk
from linksim.loading.load import scenario_from_dict
from linksim.metrics import nmse
from linksim.nr.acquisition import acquire
from linksim.scenario.channel import BsArray, Channel
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Acquisition
from linksim.training.preparation import Built


@pytest.mark.parametrize(("spacing_khz", "users", "warned"), [(15, 2, False), (60, 4, True), (360, 2, True)])
def test_pilots_that_stand_too_far_apart_are_reported_with_the_floor_that_they_leave(spacing_khz, users, warned):
    channel = Channel(num_users=users, num_subcarriers=48, num_history=1, subcarrier_spacing_khz=spacing_khz,
                      bs_array=BsArray(rows=2, columns=2))
    scenario = resolve(scenario_from_dict({
        "channel": channel.model_dump(), "acquisition": {"type": "pilots"}, "methods": ["hold"], "bounds": [],
        "run": {"chunk_size": 20},
    }))
    notes = " ".join(simulate_chunk([(0, scenario)], 1, "cpu", Built()).notes)
    assert ("pilots of a user stand" in notes) is warned
    if warned:
        true = draw_drops(channel, 20, 1).history
        noiseless = acquire(true, Acquisition(type="pilots", csi_snr_db=90), torch.Generator().manual_seed(1))[0]
        said = float(re.search(r"errs by (-?[0-9.]+) dB", notes)[1])
        assert said == pytest.approx(10 * nmse(noiseless.h, true.h).log10().item(), abs=0.3)
    assert not simulate_chunk([(0, scenario)], 1, "cpu", Built(), chunk_index=1).notes
