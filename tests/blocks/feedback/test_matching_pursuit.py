"""Plane waves off the grid of the DFT."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback.learned import FeedbackShape
from linksim.blocks.feedback.matching_pursuit import WaveGrid, pursue, quantized_gains, squared_error
from linksim.core.csi import Panel
from linksim.core.registry import create
from linksim.metrics import nmse

GRID = WaveGrid(Panel(rows=2, columns=8, polarizations=2), num_subcarriers=64)


@pytest.fixture
def channel():
    """Four waves far apart, two users, four gains."""
    index = torch.tensor([[[10, 3, 1], [100, 17, 4], [200, 30, 2], [333, 9, 6]]]).repeat(2, 1, 1)
    index[1, :, 0] += 50
    generator = torch.Generator().manual_seed(0)
    gain = torch.randn(2, 4, 4, generator=generator, dtype=torch.complex128) * torch.tensor([8.0, 4, 2, 1])[:, None]
    return index, gain, GRID.waves(index, gain)


def test_the_channel_of_waves_is_what_their_lines_say(channel):
    index, gain, x = channel
    by_hand = torch.zeros_like(x[0])
    for (delay, column, row), one in zip(index[0].tolist(), gain[0]):
        k, c, r = (torch.arange(size).double() for size in (64, 8, 2))
        phase = -delay * k / 512 + (column * c / 32)[:, None, None] + (row * r / 8)[:, None]
        by_hand += one[:, None, None, None] * torch.exp(2j * torch.pi * phase) / (64 * 8 * 2) ** 0.5
    assert torch.allclose(x[0], by_hand)


def test_products_of_waves_are_those_of_their_channels(channel):
    index, _, x = channel
    alone = torch.stack([GRID.waves(index[:, w:w + 1], torch.ones(2, 1, 1, dtype=torch.complex128)).flatten(1)
                         for w in range(4)], 1)
    assert torch.allclose(GRID.gram(index), alone.conj() @ alone.mT)
    assert torch.allclose(GRID.correlation(x, index), torch.einsum("uwn,ugn->uwg", alone.conj(), x.flatten(2)))


def test_a_channel_and_its_separated_form_are_the_same():
    h = torch.randn(3, 2, 32, 1, 64, dtype=torch.complex64)
    assert torch.equal(GRID.joined(GRID.separated(h), 2), h)


def test_waves_on_the_grid_are_found_strongest_first(channel):
    index, _, x = channel
    found = pursue(x, GRID, 6)
    assert {tuple(cell) for cell in found.index[0, :4].tolist()} >= {tuple(cell) for cell in index[0, :3].tolist()}
    assert bool((found.peak[:, :3].diff(dim=-1) < 0).all())
    gain = torch.linalg.solve(found.gram + 1e-6 * torch.eye(6), found.correlation)
    left = squared_error(found.gram, found.correlation, found.energy, gain)
    assert float((left / found.energy).max()) < 1e-3


def test_what_the_sums_say_is_left_is_left(channel):
    _, _, x = channel
    found = pursue(x, GRID, 3)
    gain = torch.randn(2, 3, 4, dtype=torch.complex128)
    left = squared_error(found.gram, found.correlation, found.energy, gain)
    direct = (x - GRID.waves(found.index, gain)).abs().square().flatten(1).sum(-1)
    assert torch.allclose(left, direct, rtol=1e-5)


def test_a_user_that_is_done_or_silent_leaves_the_others_alone(channel):
    _, _, x = channel
    together = pursue(torch.cat([x, torch.zeros_like(x[:1])]), GRID, 8)
    assert bool((together.peak[2] == -1).all())
    assert torch.equal(together.index[:2], pursue(x, GRID, 8).index)


def test_neighbouring_waves_make_up_for_each_others_rounding():
    generator = torch.Generator().manual_seed(1)
    index = torch.randint(0, 6, (50, 6, 3), generator=generator)
    x = GRID.waves(index, torch.randn(50, 6, 4, generator=generator, dtype=torch.complex128))
    gram, seen = GRID.gram(index), GRID.correlation(x, index)
    energy = x.abs().square().flatten(1).sum(-1)
    step, number = torch.full((50,), 0.5, dtype=torch.float64), torch.full((50,), 6)
    steps = quantized_gains(gram, seen, energy, number, step)
    fed_back = squared_error(gram, seen, energy, 0.5 * torch.view_as_complex(steps.double()))
    loaded = gram + (0.25 / 6 / energy)[:, None, None] * torch.eye(6)
    plain = torch.view_as_real(torch.linalg.solve(loaded, seen)).div(0.5).round().mul(0.5)
    apart = squared_error(gram, seen, energy, torch.view_as_complex(plain))
    assert float(fed_back.mean()) < float(apart.mean())


def test_gains_beyond_the_count_are_zero(channel):
    _, _, x = channel
    found = pursue(x, GRID, 4)
    steps = quantized_gains(found.gram, found.correlation, found.energy, torch.tensor([2, 0]),
                            torch.tensor([0.1, 0.1], dtype=torch.float64))
    assert steps[0, :2].any()
    assert not steps[0, 2:].any()
    assert not steps[1].any()


def test_a_budget_beyond_all_need_is_no_fault(plane_waves):
    csi = plane_waves(batch=2, user=1)
    codec = create("feedback", "off_grid", {"bits": 20000})
    codec.prepare(FeedbackShape.of(csi))
    report = codec.encode(csi)
    assert nmse(codec.decode(report).h, csi.h) < 1e-3
    assert int(report.num_bits.max()) < 20000
