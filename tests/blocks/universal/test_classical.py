"""Fingerprints, first paths, kriging, K factor and the ceilings do what their names say."""

import math
from dataclasses import replace

import pytest
import torch
from sionna.phy import SPEED_OF_LIGHT

from linksim.blocks.universal.base import ChannelView, EnvironmentView, Truth, UniversalShape
from linksim.core import registry
from linksim.core.csi import Panel

COUNT = 400
SHAPE = UniversalShape(1, Panel(1, 8, 1), 16, 720e3)


def _line(count, value):
    return torch.exp(2j * math.pi * torch.arange(count) * value[:, None])


def _drawn(seed, count=COUNT):
    """Terminals whose only path tells where they stand: the delay the distance, the beam the direction."""
    stream = torch.Generator().manual_seed(seed)
    distance = 50 + 250 * torch.rand(count, generator=stream)
    azimuth = 2 * (torch.rand(count, generator=stream) - 0.5)
    place = torch.stack([distance * azimuth.cos(), distance * azimuth.sin()], 1)
    is_los = torch.rand(count, generator=stream) < 0.5
    delay, beam = distance / 3e8 * 720e3, azimuth.sin() / 2
    h = _line(8, beam)[:, :, None] * _line(16, -delay)[:, None]
    noise = torch.randn(count, 8, 16, dtype=torch.complex64, generator=stream)
    h = torch.where(is_los[:, None, None], h, 0.4 * h + noise).to(torch.complex64)[:, None]
    shadowing = 6 * (place[:, 0] / 40).sin() + 6 * (place[:, 1] / 40).cos()
    loss = 60 + 20 * distance.log10() + shadowing
    views = {"channel": ChannelView(h, -loss, torch.full((count,), 20.0)),
             "environment": EnvironmentView(torch.cat([place, torch.zeros(count, 1)], 1), torch.full((count,), 20.0),
                                            torch.zeros(count, dtype=torch.long), torch.zeros(1, 4, 4))}
    vector = torch.nn.functional.normalize(h[:, 0, :, 0].conj(), dim=1)
    sector = (8 * (azimuth / math.pi + 0.5)).long()  # neighbours have the same beam, or the next one
    shares = 0.2 * torch.rand(count, 8, generator=stream) + torch.eye(8)[sector]
    return views, Truth(place, is_los, vector, shares / shares.sum(1, keepdim=True), loss)


def _fitted(name, **options):
    block = registry.create("universal", name, options)
    block.prepare(SHAPE)
    block.observe(*_drawn(1), False)
    block.observe(*_drawn(2), True)
    block.solve()
    return block


@pytest.mark.parametrize("name", ["knn", "wknn"])
def test_fingerprints_find_who_was_seen_and_are_near_for_others(name):
    block = _fitted(name)
    views, truth = _drawn(3)
    los = truth.line_of_sight
    error = (block.answer("position", views["channel"]) - truth.position_m).norm(dim=1)
    assert error[los].median() < 15
    block.chosen = torch.tensor([1.0, 0.0])
    views, truth = _drawn(1)
    torch.testing.assert_close(block.answer("position", views["channel"]), truth.position_m, atol=1e-3, rtol=0)
    assert torch.equal(block.answer("los", views["channel"]) > 0.5, truth.line_of_sight)


def test_kriging_remembers_shadowing_that_distance_does_not_tell():
    views, truth = _drawn(3)
    errors = {name: (_fitted(name).answer("path_loss", views["environment"]) - truth.path_loss_db).square().mean()
              for name in ("log_distance", "kriging")}
    assert errors["kriging"] < 0.25 * errors["log_distance"]
    block = _fitted("kriging")
    block.chosen = torch.tensor([40.0, 0.0])
    views, truth = _drawn(1)
    torch.testing.assert_close(block.answer("path_loss", views["environment"]), truth.path_loss_db, atol=0.5, rtol=0)


def test_kriging_hears_nothing_from_another_area():
    block = _fitted("kriging")
    views, _ = _drawn(1)
    there = views["environment"]
    elsewhere = EnvironmentView(there.offset_m, there.bs_height_m, there.height_map + 1, there.maps)
    line = _fitted("log_distance").answer("path_loss", there)
    torch.testing.assert_close(block.answer("path_loss", elsewhere), line, atol=1e-2, rtol=0)


def test_a_map_of_beams_knows_what_neighbours_had():
    block = _fitted("beam_map")
    views, truth = _drawn(3)
    assert (block.answer("beam", views["environment"]).argmax(1) == truth.beam).float().mean() > 0.8
    block.chosen = torch.tensor([1.0, 0.0])
    views, truth = _drawn(1)
    torch.testing.assert_close(block.answer("beam", views["environment"]), truth.beam_share)


def test_a_map_of_beams_has_the_like_of_other_areas_where_nobody_was_seen():
    block = registry.create("universal", "beam_map")
    block.prepare(SHAPE)
    views, truth = _drawn(1)
    block.observe(views, truth, False)
    block.solve()
    block.chosen = torch.tensor([1.0, 1.0])
    there = views["environment"]
    elsewhere = EnvironmentView(there.offset_m, there.bs_height_m, there.height_map + 1, there.maps)
    torch.testing.assert_close(block.answer("beam", elsewhere), truth.beam_share)
    # of two areas the one whose number is nearer is no nearer
    block.place[::2, 2] = 5
    torch.testing.assert_close(block.answer("beam", elsewhere), truth.beam_share)


def test_the_k_factor_tells_line_of_sight_apart():
    views, truth = _drawn(3)
    right = (_fitted("k_factor").answer("los", views["channel"]) > 0.5) == truth.line_of_sight
    assert right.float().mean() > 0.9


@pytest.mark.parametrize("name", ["knn", "wknn", "kriging", "first_path", "first_path_wknn", "k_factor",
                                  "log_distance", "beam_map"])
def test_weights_come_back_and_neighbours_in_a_batch_do_not_matter(name):
    block, views = _fitted(name), _drawn(3)[0]
    again = registry.create("universal", name)
    again.prepare(SHAPE)
    again.load_state_dict(block.state_dict())
    for task, given in block.tasks().items():
        view = views[given]
        whole = block.answer(task, view)
        torch.testing.assert_close(again.answer(task, view), whole)
        few = type(view)(**{key: value if key == "maps" else value[5:8] for key, value in vars(view).items()})
        torch.testing.assert_close(block.answer(task, few), whole[5:8], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("panel", [Panel(1, 32, 1), Panel(2, 16, 2)])
def test_the_first_path_tells_where_the_terminal_is(panel):
    stream = torch.Generator().manual_seed(5)
    ahead, left = 30 + 200 * torch.rand(300, generator=stream), 100 * (torch.rand(300, generator=stream) - 0.5)
    height, spacing_hz = 15 + 30 * torch.rand(300, generator=stream), 720e3  # base stations of many areas
    length = (ahead**2 + left**2 + height**2).sqrt()

    def wave(length, cosine, amplitude):
        response = torch.polar(amplitude[:, None], math.pi * cosine[:, None] * torch.arange(panel.columns))
        tones = torch.exp(-2j * math.pi * spacing_hz * length[:, None] / SPEED_OF_LIGHT * torch.arange(64))
        antennas = response[:, :, None].expand(-1, -1, panel.rows).flatten(1).repeat(1, panel.polarizations)
        return antennas[:, None, :, None] * tones[:, None, None]

    echo = wave(length + 60, -left / length, torch.full_like(left, 2.0))  # later, stronger, from elsewhere
    h = wave(length, left / length, torch.ones_like(left)) + echo
    noise = torch.randn(h.shape, dtype=torch.complex64, generator=stream)
    view = ChannelView((h + 0.1 * noise).to(torch.complex64), -20 * length.log10(), height + 1.5)
    place = torch.stack([ahead, left], 1)
    offset = torch.cat([place, -height[:, None]], 1)
    there = EnvironmentView(offset, view.bs_height_m, torch.zeros(300, dtype=torch.long), torch.zeros(1, 4, 4))
    truth = Truth(place, torch.ones(300, dtype=torch.bool), torch.zeros(300, 1), torch.zeros(300, 1), -view.gain_db)
    block = registry.create("universal", "first_path")
    block.prepare(UniversalShape(1, panel, 64, spacing_hz))
    for validation in (False, True):
        block.observe({"channel": view, "environment": there}, truth, validation)
    block.solve()
    error = (block.answer("position", view) - place).norm(dim=1)
    assert error.median() < 1
    assert error.quantile(0.9) < 3


def test_less_power_than_the_first_path_would_have_is_no_line_of_sight():
    views, truth = _drawn(3)
    free_space = -20 * truth.position_m.norm(dim=1).log10()
    gain = torch.where(truth.line_of_sight, free_space, free_space - 15)
    view = replace(views["channel"], gain_db=gain)
    block = registry.create("universal", "first_path")
    block.prepare(SHAPE)
    block.observe({**views, "channel": view}, truth, False)
    block.solve()
    assert ((block.answer("los", view) > 0.5) == truth.line_of_sight).float().mean() > 0.9


def test_without_line_of_sight_fingerprints_answer():
    views, truth = _drawn(3)
    view = replace(views["channel"], gain_db=torch.where(truth.line_of_sight, 0.0, -300.0))
    both, fingerprints, first = (_fitted(name) for name in ("first_path_wknn", "wknn", "first_path"))
    told = both.answer("position", view)
    los = truth.line_of_sight
    torch.testing.assert_close(told[~los], fingerprints.answer("position", view)[~los])
    torch.testing.assert_close(told[los], first.answer("position", view)[los])
