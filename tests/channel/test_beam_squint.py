"""Beam squint: phase steps at tones far from the carrier, and when a run says that they are not modelled."""

import math

import pytest
import torch
from pydantic import ValidationError

from linksim.channel.beam_squint import LEAST_LOSS_DB, squint_loss_db, squint_note
from linksim.channel.drops import drops_of_rays
from linksim.channel.response import frequency_response, squinting_response
from linksim.channel.statistical.drops import draw_drops, draw_rays
from linksim.core.errors import ScenarioError
from linksim.core.seeding import sionna_seed
from linksim.loading.load import scenario_from_dict
from linksim.scenario.channel import BsArray, Channel, UeArray

WIDE = {"carrier_frequency_ghz": 28, "num_subcarriers": 3, "subcarrier_spacing_khz": 1e6, "speed_kmh": 0,
        "bs_array": BsArray(rows=1, columns=64, polarization="single", pattern="omni", downtilt_deg=0)}


def one_path(channel, step_rad):
    """Rays of a line of sight alone, whose phase step between neighbouring columns at the carrier is given."""
    with sionna_seed(1):
        rays = draw_rays(channel, 1, "cpu", "double")
    keep = rays.is_specular.double()
    sideways = step_rad / math.pi
    axis = rays.bs.rotation[..., :, 1]  # columns of the panel lie along its own y axis
    ahead = rays.bs.rotation[..., :, 0]
    direction = sideways * axis + math.sqrt(1 - sideways**2) * ahead
    bs = type(rays.bs)(direction.unsqueeze(-2).expand_as(rays.bs.direction).contiguous(), rays.bs.field,
                       rays.bs.rotation, rays.bs.layout)
    return type(rays)(**{**vars(rays), "amplitude": rays.amplitude * keep, "bs": bs})


@pytest.mark.parametrize(("squint", "steps"), [(None, 3 * (0.52392,)), (False, 3 * (0.52392,)),
                                               (True, (0.50521, 0.52392, 0.54263))])
def test_phase_step_of_64_elements_at_27_28_and_29_ghz(squint, steps):
    channel = Channel(**WIDE, model="umi", los="los", precision="double", num_history=1, num_future=1,
                      beam_squint=squint)
    h = drops_of_rays(channel, one_path(channel, 0.52392), 1).history.h[0, 0, 0, :, 0].to(torch.complex128)
    found = (h[1:] * h[:-1].conj()).angle().abs()  # [element, tone]
    for tone, step in enumerate(steps):
        torch.testing.assert_close(found[:, tone], torch.full((63,), step).double(), atol=2e-4, rtol=0)


def test_every_tone_is_the_sum_over_rays_at_its_own_wavelength():
    channel = Channel(**WIDE | {"speed_kmh": 60.0, "bs_array": BsArray(rows=2, columns=4)}, num_history=3,
                      ue_array=UeArray(num_antennas=2), precision="double")
    with sionna_seed(1):
        rays = draw_rays(channel, 2, "cpu", "double")
    frequency_hz = torch.tensor([27e9, 28e9, 29e9]).double()
    time_s = torch.arange(3).double() * 5e-4
    h = squinting_response(rays, frequency_hz, time_s, 28e9)
    for tone, f in enumerate(frequency_hz.tolist()):
        ue, bs = rays.steering(f)
        transfer = rays.coupling * torch.polar(torch.ones_like(rays.phase), rays.phase)
        turn = rays.doppler_hz(f).unsqueeze(-1) * time_s - rays.delay_s.unsqueeze(-1) * (f - 28e9)
        turn = torch.polar(torch.ones_like(turn), 2 * math.pi * turn)
        expected = torch.einsum("bur,burni,burij,burmj,burt->bunmt", rays.amplitude.to(ue), ue, transfer, bs, turn)
        torch.testing.assert_close(h[..., tone], expected, rtol=1e-8, atol=1e-8)


def test_at_the_carrier_nothing_changes():
    with sionna_seed(1):
        rays = draw_rays(Channel(), 1, "cpu")
    alone, time_s = torch.tensor([2.4e9]).double(), torch.zeros(1).double()
    torch.testing.assert_close(squinting_response(rays, alone, time_s, 2.4e9),
                               frequency_response(rays, 2.4e9, time_s, alone - 2.4e9))


@pytest.mark.parametrize("duplex", ["tdd", "fdd_adjacent", "fdd_gapped_coherent", "fdd_gapped_independent"])
def test_other_times_and_the_downlinks_history_squint_too(duplex):
    drops = draw_drops(Channel(**WIDE, duplex=duplex, beam_squint=True, num_history=2, num_future=2), 1, 1)
    torch.testing.assert_close(drops.response(drops.history.time_s).h, drops.history.h)
    torch.testing.assert_close(drops.downlink_at(drops.future.time_s, 0), drops.future.h)
    assert drops.downlink_history().h.shape == drops.history.h.shape


@pytest.mark.parametrize("edge_hz", [-2e8, 2e8])
def test_the_loss_is_that_of_an_array_steered_at_the_carrier(edge_hz):
    channel = Channel(**WIDE | {"subcarrier_spacing_khz": 2e5})
    step = math.pi * math.sin(math.pi / 3)
    element = torch.arange(64).double()
    weights, received = (torch.polar(torch.ones(64).double(), step * scale * element)
                         for scale in (1, 1 + edge_hz / 28e9))
    loss_db = -20 * math.log10(float((weights.conj() * received).mean().abs()))
    assert loss_db > 0.5
    assert squint_loss_db(channel) == pytest.approx(loss_db, abs=1e-6)


def test_it_is_said_where_it_matters_unless_the_scenario_says_it():
    matters = {**WIDE, "subcarrier_spacing_khz": 1e5}
    assert "would lose 0.1 dB of array gain" in squint_note(Channel(**matters))
    assert squint_note(Channel(**matters, beam_squint=False)) is None
    assert squint_note(Channel(**matters, beam_squint=True)) is None
    assert squint_note(Channel()) is None
    assert squint_loss_db(Channel()) < LEAST_LOSS_DB
    assert "30 dB and more" in squint_note(Channel(**{**WIDE, "num_subcarriers": 7}))


def test_a_run_says_it_and_shows_it(command, scenario_file, tmp_path):
    wide = {"channel.carrier_frequency_ghz": 28, "channel.subcarrier_spacing_khz": 50000, "bounds": [],
            "channel.bs_array.columns": 32}
    outcome = command("run", scenario_file(wide), "--output", tmp_path / "unsaid")
    assert "no beam squint" in " ".join(outcome.out.split())
    outcome = command("run", scenario_file(wide | {"channel.beam_squint": True}), "--output", tmp_path / "said")
    assert outcome.code == 0, outcome.err
    assert "UMa LOS and NLOS, beam squint" in " ".join(outcome.out.split())
    assert "no beam squint" not in outcome.out


def test_what_cannot_go_with_it_is_refused(tiny):
    with pytest.raises(ScenarioError, match="genie_lmmse: takes the carrier's wavelength at all tones"):
        scenario_from_dict(tiny({"channel.beam_squint": True, "bounds": ["genie_lmmse"]}))
    with pytest.raises(ValidationError, match="beam_squint is for channels that linksim computes from rays"):
        Channel(source="files", files={"format": "cir", "generator": "mine"}, beam_squint=True)
