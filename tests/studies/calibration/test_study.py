"""Equal engines are found equal, wrong ones different."""

import dataclasses
import functools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sionna.phy.channel.tr38901 import delay_spread_from_rays

from linksim.channel.response import frequency_response
from linksim.channel.statistical.sionna_rays import sample_rays
from linksim.scenario.channel import Channel
from studies.calibration.linksim_draw import LinksimDraw
from studies.calibration.setups import Network, Sector
from studies.calibration.sionna_draw import SionnaDraw
from studies.calibration.study import Outcome, all_setups, compare, draw_parts, run_setup

NETWORK = Network("umi", 6e9, "configuration 2")
SECTOR = Sector(Channel(
    model="uma", path_loss=True, shadow_fading=True, normalization="none", num_users=4,
    bs_array={"rows": 2, "columns": 2}, ue_array={"num_antennas": 2, "polarization": "dual"},
), batch_size=12)


PARTS = 2


@functools.cache
def plain(setup):
    return draw_parts(SionnaDraw, setup, PARTS, 3, "both")


def compared(setup, engine=LinksimDraw, independent=0):
    paired = draw_parts(engine, setup, PARTS, 3, "both")
    alone = draw_parts(engine, setup, independent, 3, "linksim") if independent else paired
    return {one.metric: one for one in compare(Outcome(setup, plain(setup), paired, alone), 10)}


@pytest.mark.parametrize("setup", [
    Network("uma", 30e9, "large scale"), NETWORK, SECTOR,
], ids=lambda setup: setup.name)
def test_engines_agree_to_rounding(setup):
    found = compared(setup, independent=PARTS)
    assert [name for name, one in found.items() if not one.same_numbers] == []
    assert [name for name, one in found.items() if not one.same_distribution] == []


def changed(**changes):
    """An engine whose rays are changed after recording; a change is a function of the rays."""

    def sample(model):
        rays = sample_rays(model)
        return dataclasses.replace(rays, **{name: change(rays) for name, change in changes.items()})

    return functools.partial(LinksimDraw, sample=sample)


def mirrored(*arguments):
    """A response whose antennas of the base station are numbered backwards."""
    return frequency_response(*arguments).flip(-3)


def without_phase(*arguments):
    return frequency_response(*arguments).abs().to(torch.complex64)


WRONG = {
    "3 dB gain": changed(amplitude=lambda rays: rays.amplitude * math.sqrt(2)),
    "conjugated phases": changed(phase=lambda rays: -rays.phase),
    "one path late": changed(path_delay_s=lambda rays: rays.path_delay_s.roll(1, -1)),
    "no cross-polarisation": changed(coupling=lambda rays: rays.coupling * torch.eye(2)),
    "terminals upright": changed(ue=lambda rays: dataclasses.replace(rays.ue, field=rays.ue.field.flip(-1))),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_engines_are_caught(name):
    found = compared(NETWORK, WRONG[name])
    assert not found["coupling_gain_db"].same_numbers
    assert not found["largest_singular_db"].same_numbers


def test_missing_shadowing_is_caught():
    def sample(model):
        model._lsp.sf = torch.ones_like(model._lsp.sf)
        return sample_rays(model)

    engine = functools.partial(LinksimDraw, sample=sample)
    assert not compared(NETWORK, engine)["coupling_gain_db"].same_numbers
    large_scale = Network("uma", 30e9, "large scale")
    found = compared(large_scale, engine)
    assert not found["coupling_gain_db"].same_numbers
    assert not found["sir_db"].same_numbers


def test_a_wrong_response_is_caught():
    found = compared(NETWORK, functools.partial(LinksimDraw, respond=mirrored))
    assert not found["coupling_gain_db"].same_numbers  # the port measured is a corner of the panel
    found = compared(SECTOR, functools.partial(LinksimDraw, respond=without_phase))
    assert found["delay_spread_ns"].same_numbers  # from the rays alone
    assert not found["smallest_singular_db"].same_numbers


def test_distributions_alone_catch_a_large_error_only():
    """Why paired draws are worth having: phases conjugated leave every distribution as it is."""
    found = compared(SECTOR, WRONG["conjugated phases"], independent=4)
    assert found["largest_singular_db"].same_distribution
    assert not found["largest_singular_db"].same_numbers
    loud = compared(SECTOR, changed(amplitude=lambda rays: 10 * rays.amplitude), independent=4)
    assert not loud["coupling_gain_db"].same_distribution


def test_sionnas_delay_spread_shares_out_the_line_of_sight():
    """The one metric in which the engines differ by more than rounding, and why: no scattering, yet a spread."""
    cluster_ds_ns, k_factor = 5.0, 1e9
    link = (1, 1, 1)
    rays = SimpleNamespace(delays=torch.tensor([0.0, 1e-7]).expand(*link, 2), powers=torch.full((*link, 2), 0.5))
    scenario = SimpleNamespace(los=torch.ones(link, dtype=torch.bool),
                               get_param=lambda name: torch.full(link, cluster_ds_ns))
    parameters = SimpleNamespace(k_factor=torch.full(link, k_factor))
    spread_s = delay_spread_from_rays(rays, parameters, scenario)
    shares, offsets = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.28, 2.56])
    alone = cluster_ds_ns * math.sqrt(shares @ offsets**2 - (shares @ offsets) ** 2)
    assert float(spread_s) * 1e9 == pytest.approx(alone, rel=1e-3)
    assert float(delay_spread_from_rays(rays, parameters, scenario, include_subclusters=False)) < 1e-11


@pytest.mark.slow
def test_reduced_calibration():
    """Every set-up: engines equal, and within sampling error of 3GPP's curves where the tables did not change."""
    comparisons = []
    for setup in all_setups():
        comparisons += compare(run_setup(setup, 2, 1), 78)
    assert [(one.setup.name, one.metric) for one in comparisons if not one.same_numbers] == []
    unchanged = ("coupling_gain_db", "sir_db", "sinr_db", "zsd_deg")
    for one in comparisons:
        pairs = one.num_paired * one.num_independent / (one.num_paired + one.num_independent)
        assert one.distance < tolerance(pairs), (one.setup.name, one.metric)
        if one.reference_distance is not None and one.metric in unchanged:
            assert one.reference_distance < tolerance(one.num_independent), (one.setup.name, one.metric)


def tolerance(number):
    """Of a distance between distribution functions, for so many draws (two samples: half their harmonic mean)."""
    return max(0.15, 2 / math.sqrt(number))
