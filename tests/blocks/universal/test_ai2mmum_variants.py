"""AI2MMUM with the first path: what it adds, to which tasks, and that it learns whom to believe."""

import math

import pytest
import torch
from sionna.phy import SPEED_OF_LIGHT

from linksim.blocks.universal.base import ChannelView, EnvironmentView, Truth, UniversalShape
from linksim.core import registry
from linksim.core.csi import Panel

SPACING_HZ, TERMINAL_M = 720e3, 1.5
SHAPE = UniversalShape(1, Panel(1, 16, 1), 64, SPACING_HZ)


def _seen(count=64, seed=1):
    """Terminals of which a straight path arrives, every second one's hidden: later and weaker than it would be."""
    stream = torch.Generator().manual_seed(seed)
    height = 15 + 30 * torch.rand(count, generator=stream)
    ahead, left = (low + size * torch.rand(count, generator=stream) for low, size in ((40, 200), (-50, 100)))
    length = (ahead**2 + left**2 + height**2).sqrt()
    is_los = torch.arange(count) % 2 == 0
    detour = torch.where(is_los, 0.0, 60.0)
    antennas = torch.exp(1j * math.pi * (left / length)[:, None] * torch.arange(16))
    delay = (length + detour) / SPEED_OF_LIGHT
    tones = torch.exp(-2j * math.pi * SPACING_HZ * delay[:, None] * torch.arange(64))
    h = (antennas[:, :, None] * tones[:, None]).to(torch.complex64)[:, None]
    gain = -40 - 20 * length.log10() - torch.where(is_los, 0.0, 25.0)
    offset = torch.stack([ahead, left, -height], 1)
    views = {"channel": ChannelView(h, gain, height + TERMINAL_M),
             "environment": EnvironmentView(offset, height + TERMINAL_M, torch.zeros(count, dtype=torch.long),
                                            torch.zeros(1, 128, 128))}
    precoder = torch.nn.functional.normalize(h[:, 0, :, :1].conj(), dim=1)
    return views, Truth(offset[:, :2], is_los, precoder, torch.full((count, 16), 1 / 16), -gain)


def _block(name):
    torch.manual_seed(3)
    block = registry.create("universal", name, {"body": "none"})
    block.prepare(SHAPE)
    return block.eval()


def _as(block, other):
    block.load_state_dict({**block.state_dict(), **other.state_dict()})
    return block


def _believing(block, which):
    with torch.no_grad():
        block.trust[-1].bias.fill_(-50)
        block.trust[-1].bias[which] = 50
    return block


def test_who_believes_the_head_alone_is_the_model_with_a_bypass():
    views, _ = _seen()
    plain = _block("ai2mmum_bypass")
    block = _believing(_as(_block("ai2mmum_first_path"), plain), 0)
    for task, given in plain.tasks().items():
        if task != "los":
            torch.testing.assert_close(block.answer(task, views[given]), plain.answer(task, views[given]))


def test_who_believes_the_first_path_alone_is_right_where_it_is_straight():
    views, truth = _seen()
    block = _believing(_block("ai2mmum_first_path"), 1)
    block.terminal_m.fill_(TERMINAL_M)
    error = (block.answer("position", views["channel"]) - truth.position_m).norm(dim=1)
    assert error[truth.line_of_sight].max() < 1
    assert error[~truth.line_of_sight].min() > 40


def test_terminals_are_as_high_as_in_training():
    views, truth = _seen()
    block = _block("ai2mmum_first_path")
    block.train().loss(views, truth)
    block.loss(views, truth)
    assert block.terminal_m == pytest.approx(TERMINAL_M)
    views["environment"].offset_m[:, 2] += 5
    block.eval().loss(views, truth)
    assert block.terminal_m == pytest.approx(TERMINAL_M)


def test_it_learns_when_to_believe_the_first_path():
    views, truth = _seen()
    block = _block("ai2mmum_first_path").train()
    optimizer = torch.optim.Adam([p for p in block.parameters() if p.requires_grad], 5e-3)
    for _ in range(80):
        optimizer.zero_grad()
        block.loss(views, truth).backward()
        optimizer.step()
    views, truth = _seen(seed=2)
    block.eval()
    los = truth.line_of_sight
    with torch.no_grad():
        error = (block.answer("position", views["channel"]) - truth.position_m).norm(dim=1)
        assert error[los].median() < 5
        assert error[~los].median() < 50  # the first path alone is 60 m away
        assert ((block.answer("los", views["channel"]) > 0.5) == los).float().mean() > 0.95


def test_answers_do_not_depend_on_batch_neighbours():
    block, (views, _) = _block("ai2mmum_first_path"), _seen()
    channel = views["channel"]
    for task in ("position", "los"):
        part = block.answer(task, ChannelView(channel.h[3:6], channel.gain_db[3:6], channel.bs_height_m[3:6]))
        torch.testing.assert_close(block.answer(task, channel)[3:6], part, atol=1e-3, rtol=1e-4)
