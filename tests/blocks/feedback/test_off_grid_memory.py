"""Waves remembered from report to report: what it saves, and that both sides remember the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.blocks.feedback.base import Report
from linksim.blocks.feedback.learned import FeedbackShape
from linksim.blocks.feedback.off_grid_memory import OffGridMemoryCodec
from linksim.blocks.feedback.wave_memory import WaveMemory
from linksim.channel.statistical.drops import draw_drops
from linksim.core.csi import Csi
from linksim.core.registry import create
from linksim.scenario.channel import Channel

NUM_TIMES, BITS = 6, 96


def histories(num_drops: int, seed: int, speed_kmh: float = 3.0) -> Csi:
    channel = Channel.model_validate({
        "num_subcarriers": 48, "num_history": NUM_TIMES, "num_future": 1, "num_users": 2, "speed_kmh": speed_kmh,
        "bs_array": {"rows": 2, "columns": 4}})
    return draw_drops(channel, num_drops, seed).downlink_history()


@pytest.fixture(scope="module")
def codec() -> OffGridMemoryCodec:
    built = create("feedback", "off_grid_memory", {"bits": BITS})
    training = histories(6, seed=1)
    built.prepare(FeedbackShape.of(training))
    built.observe(training, validation=False)
    assert 0 < built.solve() < 1
    return built


def told(codec: OffGridMemoryCodec, csi: Csi) -> tuple[Report, torch.Tensor, torch.Tensor]:
    """Reports, their NMSE ``[drop, time, user]``, and which were concealed, ``[drop, time, user]``."""
    report = codec.encode_history(csi)
    return report, *arrived(codec, report, csi)


def arrived(codec: OffGridMemoryCodec, report: Report, csi: Csi) -> tuple[torch.Tensor, torch.Tensor]:
    decoded, concealed = codec.decode_history(replace(report, ledgers=()), NUM_TIMES)
    true = csi.h.movedim(-2, 1).flatten(0, 1).unsqueeze(-2)
    error = ((decoded.h - true).abs().square().flatten(2).sum(-1) / true.abs().square().flatten(2).sum(-1))
    return error.unflatten(0, (-1, NUM_TIMES)), concealed.unflatten(0, (-1, NUM_TIMES))


def test_later_reports_of_as_many_bits_tell_more(codec):
    report, error, concealed = told(codec, histories(4, seed=2))
    assert not concealed.any()
    assert int(report.num_bits.max()) <= BITS
    mean = error.mean((0, 2))
    assert mean[-1] < 0.5 * mean[0]


def test_geometry_alone_is_worth_its_bits_where_gains_are_new_in_every_report(codec):
    _, error, _ = told(codec, histories(4, seed=2, speed_kmh=300))
    assert error[:, -1].mean() < 0.8 * error[:, 0].mean()


def test_a_channel_that_stands_still_is_refined(codec):
    csi = histories(2, seed=3)
    still = csi.with_h(csi.h[..., :1, :].expand_as(csi.h).clone())
    _, error, _ = told(codec, still)
    mean = error.mean((0, 2))
    assert (mean[1:] < mean[:-1]).all()


def test_the_first_report_is_one_without_memory(codec):
    csi = histories(2, seed=4)
    first = csi.with_h(csi.h[..., :1, :], time_s=csi.time_s[:1])
    whole, alone = codec.encode_history(csi), codec.encode(first)
    users = csi.h.shape[1]
    assert [whole.payload[drop * NUM_TIMES * users + user] for drop in range(2) for user in range(users)] == \
        list(alone.payload)


def test_users_reports_do_not_depend_on_their_neighbours(codec):
    csi = histories(2, seed=5)
    one = replace(csi, h=csi.h[1:, :1], noise_variance=csi.noise_variance[1:, :1],
                  max_doppler_hz=csi.max_doppler_hz[1:, :1])
    users = csi.h.shape[1]
    whole = codec.encode_history(csi).payload[NUM_TIMES * users::users]
    assert whole == codec.encode_history(one).payload


def test_a_lost_report_takes_those_after_it_along_and_nobody_elses(codec):
    csi = histories(2, seed=6)
    report, error, _ = told(codec, csi)
    lost, users = 2, csi.h.shape[1]
    payload, num_bits = list(report.payload), report.num_bits.clone()
    payload[lost * users], num_bits[lost, 0] = b"", 0
    struck, concealed = arrived(codec, Report(tuple(payload), num_bits, report.grid), csi)
    expected = torch.zeros_like(concealed)
    expected[0, lost:, 0] = True
    assert torch.equal(concealed, expected)
    assert torch.equal(struck[~expected], error[~expected])
    assert (struck[expected] == 1).all()  # zeros


def test_a_silent_channel_takes_no_waves_and_may_begin_to_speak(codec):
    csi = histories(1, seed=7)
    h = csi.h.clone()
    h[..., :2, :] = 0
    report = codec.encode_history(csi.with_h(h))
    decoded, concealed = codec.decode_history(report, NUM_TIMES)
    assert not concealed.any()
    assert not decoded.h[:2].any()
    assert decoded.h[-1].any()


@pytest.mark.parametrize(("way", "turn"), [("hold", 1.0), ("turn", torch.exp(torch.tensor(0.7j)))])
def test_gains_that_stay_or_turn_evenly_are_foreseen(way, turn):
    gain = torch.tensor([[1.0 + 1j, 0.5]], dtype=torch.complex128)
    memory = WaveMemory.empty(2).after(torch.zeros(0, 2, dtype=torch.complex128), torch.zeros(1, 3).long(), gain, 5,
                                       0.01, 9)
    for _ in range(5):
        gain = gain * turn
        memory = memory.after(gain, torch.zeros(0, 3).long(), torch.zeros(0, 2, dtype=torch.complex128), 5, 0.01, 9)
    foreseen, level = memory.prediction()
    torch.testing.assert_close(foreseen, gain * turn, atol=1e-6, rtol=0)
    assert float(level) < 0.1


def test_gains_that_follow_no_rule_are_not_foreseen():
    generator = torch.Generator().manual_seed(1)
    new = torch.randn(12, 1, 2, generator=generator, dtype=torch.complex128)
    memory = WaveMemory.empty(2).after(torch.zeros(0, 2, dtype=torch.complex128), torch.zeros(1, 3).long(), new[0], 5,
                                       0.01, 9)
    for gain in new[1:]:
        memory = memory.after(gain, torch.zeros(0, 3).long(), torch.zeros(0, 2, dtype=torch.complex128), 5, 0.01, 9)
    foreseen, level = memory.prediction()
    assert not foreseen.any()
    assert 0.3 < float(level) < 1.5  # 0.71


def test_the_strongest_waves_are_kept():
    gain = torch.tensor([[3.0], [1.0], [2.0]], dtype=torch.complex128)
    cells = torch.arange(9).reshape(3, 3)
    memory = WaveMemory.empty(1).after(gain[:0], cells, gain, 5, 0.01, most=2)
    assert memory.cells.tolist() == [[0, 1, 2], [6, 7, 8]]
