"""Short blocks: plans within capacity, their error rate near its target, payloads that come back."""

from __future__ import annotations

import random

import pytest
import torch

from linksim.core.errors import ScenarioError
from linksim.mimo.noise import complex_normal
from linksim.nr.short_block_link import ShortBlockLink
from linksim.nr.short_block_plan import PAYLOAD_SIZES, ShortBlockPlan, ShortBlockPlanner


def ratio(decibel: float | torch.Tensor) -> float | torch.Tensor:
    return 10 ** (decibel / 10)


def uneven(num_blocks: int, num_uses: int, mean_db: float) -> torch.Tensor:
    """SINR of streams that are 20 dB apart, another set for every block."""
    draw = torch.Generator().manual_seed(7)
    return ratio(mean_db + 10 * (2 * torch.rand(num_blocks, num_uses, generator=draw) - 1))


def payloads(plan: ShortBlockPlan) -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choice("01") for _ in range(size)) for size in plan.payload_bits.tolist()]


def received(symbols: torch.Tensor, variance: torch.Tensor, seed: int = 1) -> torch.Tensor:
    return symbols + variance.sqrt() * complex_normal(symbols.shape, torch.Generator().manual_seed(seed))


def error_rate(link: ShortBlockLink, sinr: torch.Tensor, offset_db: float) -> float:
    plan = link.plan(sinr)
    sent = payloads(plan)
    variance = 1 / (sinr * ratio(offset_db))
    delivered = link.receive(received(link.transmit(sent, plan), variance), variance, plan)
    wrong = torch.tensor([one != other for one, other in zip(delivered.payloads, sent)])
    assert not (wrong & delivered.passed).float().mean() > 0.02  # the check finds nearly all
    return float(wrong.float().mean())


@pytest.mark.parametrize(("num_uses", "snr_db"), [(64, 0.0), (64, 6.0), (128, -6.0), (32, 12.0)])
def test_the_error_rate_passes_ten_percent_within_a_decibel_of_the_plan(num_uses, snr_db):
    sinr = torch.full((120, num_uses), ratio(snr_db))
    rates = [error_rate(ShortBlockLink(), sinr, offset) for offset in (-1.2, 0.0, 1.0, 4.0)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.1 > rates[2]
    assert rates[3] == 0


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_uneven_channel_uses_keep_the_target_too(snr_db):
    sinr = uneven(8, 96, snr_db).repeat_interleave(15, 0)
    assert error_rate(ShortBlockLink(), sinr, 0.0) < 0.25
    assert error_rate(ShortBlockLink(), sinr, 1.0) < 0.1
    assert error_rate(ShortBlockLink(), sinr, -2.5) > 0.5


def test_a_plan_stays_below_capacity_and_grows_with_snr_and_uses():
    before = torch.zeros(4)
    for snr_db in (-5, 0, 5, 10, 20, 40):
        for num_uses in (64, 128):
            sinr = uneven(4, 128, snr_db)[:, :num_uses]
            plan = ShortBlockLink().plan(sinr)
            share = (plan.orders > 0).float().mean(-1, keepdim=True)
            capacity = (torch.log2(1 + sinr / share) * (plan.orders > 0)).sum(-1)
            assert (plan.payload_bits < capacity).all()
            assert (plan.payload_bits <= plan.num_coded).all()
            assert (plan.payload_bits >= before).all()
            before = plan.payload_bits
        before = ShortBlockLink().plan(uneven(4, 128, snr_db)[:, :64]).payload_bits


def test_silence_and_larger_constellations_carry_more():
    sinr = uneven(20, 64, 0.0)
    silent, all_sent = (ShortBlockLink(ShortBlockPlanner(silence=flag)).plan(sinr) for flag in (True, False))
    assert (silent.payload_bits >= all_sent.payload_bits).all()
    assert silent.payload_bits.sum() > all_sent.payload_bits.sum()
    assert (silent.orders == 0).any()
    assert (all_sent.orders > 0).all()
    assert ShortBlockLink(ShortBlockPlanner(max_order=2)).plan(ratio(20.0) * sinr).orders.max() == 2


def test_a_margin_lowers_the_payload_and_its_error_rate():
    sinr = torch.full((150, 64), 1.0)
    plans = [ShortBlockPlanner(margin_db=margin).plan(sinr).payload_bits[0] for margin in (0.0, 2.0, 4.0)]
    assert plans == sorted(plans, reverse=True)
    assert error_rate(ShortBlockLink(ShortBlockPlanner(margin_db=3.0)), sinr, 0.0) == 0


def test_a_short_payload_outlives_a_channel_far_worse_than_expected():
    link, sinr = ShortBlockLink(), torch.full((100, 64), ratio(15.0))
    plan = link.plan(sinr, torch.full((100,), 30))
    assert (plan.payload_bits == PAYLOAD_SIZES[PAYLOAD_SIZES >= 30][0]).all()
    sent = ["1" * 30] * 100
    variance = torch.full((100, 64), 1 / ratio(3.0))  # 12 dB worse than expected
    delivered = link.receive(received(link.transmit(sent, plan), variance), variance, plan)
    assert delivered.passed.all()
    assert all(one.startswith(sent[0]) and "1" not in one[30:] for one in delivered.payloads)


def test_blocks_have_unit_mean_power_whatever_they_carry():
    link, sinr = ShortBlockLink(), uneven(200, 64, 8.0)
    plan = link.plan(sinr)
    # zeros alone are the same few scrambled bits in every block; unscrambled they would have a third of the power
    for sent, tolerance in ((payloads(plan), 0.03), ([""] * 200, 0.15)):
        power = link.transmit(sent, plan).abs().square().mean(-1)
        assert float(power.mean()) == pytest.approx(1, abs=tolerance)


def test_a_block_does_not_depend_on_the_others():
    link, sinr = ShortBlockLink(), uneven(12, 48, 5.0)
    plan = link.plan(sinr)
    sent = payloads(plan)
    symbols = link.transmit(sent, plan)
    y = received(symbols, 2 / sinr)
    together = link.receive(y, 2 / sinr, plan)
    for row in (0, 5, 11):
        alone = link.plan(sinr[row:row + 1])
        assert torch.equal(alone.orders[0], plan.orders[row])
        assert torch.equal(link.transmit(sent[row:row + 1], alone)[0], symbols[row])
        again = link.receive(y[row:row + 1], 2 / sinr[row:row + 1], alone)
        assert (again.payloads[0], bool(again.passed[0])) == (together.payloads[row], bool(together.passed[row]))


def test_a_hopeless_channel_is_given_the_smallest_block_or_nothing():
    link = ShortBlockLink()
    plan = link.plan(torch.full((3, 32), ratio(-20.0)))
    assert (plan.payload_bits == PAYLOAD_SIZES[0]).all()
    nothing = link.plan(torch.zeros(3, 2))
    assert (nothing.payload_bits == 0).all()
    symbols = link.transmit([""] * 3, nothing)
    assert not symbols.any()
    delivered = link.receive(symbols, torch.ones(3, 2), nothing)
    assert delivered.payloads == [""] * 3
    assert not delivered.passed.any()


def test_what_cannot_be_planned_or_sent_is_refused():
    with pytest.raises(ScenarioError, match="target_error_rate"):
        ShortBlockPlanner(target_error_rate=0)
    with pytest.raises(ScenarioError, match="bits of a symbol"):
        ShortBlockPlanner(max_order=3)
    link = ShortBlockLink()
    with pytest.raises(ValueError, match="at least 0"):
        link.plan(torch.tensor([[1.0, float("nan")]]))
    plan = link.plan(torch.ones(2, 64))
    with pytest.raises(ValueError, match="payload 1 has 500 bits"):
        link.transmit(["", "1" * 500], plan)
    with pytest.raises(ValueError, match="do not match"):
        link.transmit([""], plan)
