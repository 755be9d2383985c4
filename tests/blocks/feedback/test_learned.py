"""The delay window. Learned codecs, untrained: what holds whatever the weights are."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from linksim.blocks.feedback.base import Report
from linksim.blocks.feedback.learned import DelayWindow, FeedbackShape, LearnedCodec
from linksim.blocks.feedback.masked import MaskedCodec
from linksim.blocks.prediction.learned import TrainingBatch
from linksim.core.errors import ReportError, ScenarioError
from linksim.core.registry import block_class, catalogue, create
from linksim.metrics import nmse


def test_the_whole_window_gives_the_channel_back(plane_waves):
    csi = plane_waves()
    window = DelayWindow(16)
    image, code = window.images(csi)
    assert image.shape == (6, 2, 2, 16, 16)
    assert float(image.abs().max()) <= 1
    assert float(image.abs().flatten(1).amax(-1).min()) > 0.97
    back = window.channel(image, code, tuple(csi.h.shape), csi.panel)
    assert torch.allclose(back, csi.h, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 5, 12])
def test_what_lies_beyond_the_window_is_the_error_that_is_left(plane_waves, rows):
    csi = plane_waves()
    window = DelayWindow(rows)
    image, code = window.images(csi)
    back = window.channel(image, code, tuple(csi.h.shape), csi.panel)
    assert nmse(back, csi.h) == pytest.approx(float(window.energy_beyond(csi).mean()), rel=1e-4)


def test_a_channel_of_zeros_is_an_image_of_zeros(plane_waves):
    csi = plane_waves(batch=1, user=1)
    image, code = DelayWindow(8).images(csi.with_h(torch.zeros_like(csi.h)))
    assert int(code) == 0
    assert not image.any()


NAMES = [spec.name for spec in catalogue("feedback") if issubclass(block_class("feedback", spec.name), LearnedCodec)]
SMALL = {"llmcsinet": {"num_layers": 1, "body": "attention"}}
BITS = 900  # two terminal antennas


@pytest.fixture(scope="module")
def csi(plane_waves):
    return plane_waves()


@pytest.fixture(scope="module")
def codec_of(plane_waves):
    training = plane_waves(batch=20, seed=9)

    @cache
    def build(name: str, bits: int = BITS, **options) -> LearnedCodec:
        torch.manual_seed(0)
        codec = create("feedback", name, {"num_values": 40, "bits": bits, **SMALL.get(name, {}), **options})
        codec.prepare(FeedbackShape.of(training))
        codec.eval()
        with torch.no_grad():
            codec.finish(iter([TrainingBatch(training, training, training)]))
        return codec

    return build


def part(csi, index):
    return replace(csi, h=csi.h[index], noise_variance=csi.noise_variance[index],
                   max_doppler_hz=csi.max_doppler_hz[index])


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_report_keeps_to_its_budget_and_its_ledger(name, csi, codec_of):
    report = codec_of(name).encode(csi)
    assert int(report.num_bits.max()) <= BITS
    assert int(report.num_bits.min()) >= codec_of(name).minimum_bits(report.grid)
    for num_bits, ledger in zip(report.num_bits.flatten().tolist(), report.ledgers):
        assert sum(ledger.values()) == num_bits
        assert ("positions" in ledger) == isinstance(codec_of(name), MaskedCodec)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_neighbours_in_the_batch_change_no_bit(name, csi, codec_of):
    codec, order = codec_of(name), torch.tensor([2, 0, 1])
    whole, users = codec.encode(csi), csi.h.shape[1]
    permuted = codec.encode(part(csi, order))
    assert permuted.payload == tuple(whole.payload[users * d + u] for d in order.tolist() for u in range(users))
    assert torch.allclose(codec.decode(permuted).h, codec.decode(whole).h[order], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_with_values_in_single_precision_the_report_is_what_the_network_makes_of_the_channel(name, csi, codec_of):
    codec = codec_of(name, bits=4000, quantization="none")
    decoded = codec.decode(codec.encode(csi))
    image, code = codec.window.images(csi)
    expected = codec.reconstructed(image.flatten(0, 1)).unflatten(0, image.shape[:2])
    expected = codec.window.channel(expected, code, tuple(csi.h.shape), csi.panel)
    error = (decoded.h - expected).abs().square().sum() / expected.abs().square().sum()
    assert float(error) < (1e-4 if isinstance(codec, MaskedCodec) else 1e-9)  # the mean has eight bits


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_more_bits_come_closer_to_what_values_without_cost_would_give(name, csi, codec_of):
    free = codec_of(name, bits=4000, quantization="none")
    there = free.decode(free.encode(csi)).h
    errors = []
    for bits in (BITS - 200, BITS + 400):
        codec = codec_of(name, bits=bits)
        errors.append(float((codec.decode(codec.encode(csi)).h - there).abs().square().mean()))
    assert errors[1] < errors[0]


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_silent_user_costs_a_scale_and_touches_nobody(name, csi, codec_of):
    codec, h = codec_of(name), csi.h.clone()
    h[1, 0] = 0
    report = codec.encode(csi.with_h(h))
    decoded = codec.decode(report).h
    assert int(report.num_bits[1, 0]) < 20
    assert not decoded[1, 0].any()
    assert torch.allclose(decoded[0], codec.decode(codec.encode(csi)).h[0], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_truncated_report_is_refused_with_its_user(name, csi, codec_of):
    codec = codec_of(name)
    report = codec.encode(csi)
    num_bits = report.num_bits.clone()
    num_bits[2, 1] -= 8
    payload = list(report.payload)
    payload[5] = payload[5][:-1]
    with pytest.raises(ReportError, match="drop 2, user 1"):
        codec.decode(Report(tuple(payload), num_bits, report.grid))


@pytest.mark.parametrize("name", NAMES)
def test_too_few_bits_are_refused_with_the_minimum(name, csi, codec_of):
    codec = codec_of(name, bits=30)
    least = codec.minimum_bits(codec_of(name).encode(csi).grid)
    with pytest.raises(ScenarioError, match=f"at least {least}"):
        codec.encode(csi)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter_that_is_trained(name, plane_waves):
    torch.manual_seed(1)
    codec = create("feedback", name, {"num_values": 40, **SMALL.get(name, {})})
    training = plane_waves(batch=4, seed=3)
    codec.prepare(FeedbackShape.of(training))
    if name == "llmcsinet":  # its output map begins at zero
        torch.nn.init.normal_(codec.prediction.to_patches.weight, std=0.1)
    codec.training_loss(TrainingBatch(training, training, training)).backward()
    missing = [key for key, parameter in codec.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert not missing


def test_random_places_cost_no_bits(csi, codec_of):
    report = codec_of("idasnet", selection="random").encode(csi)
    assert all("positions" not in ledger for ledger in report.ledgers)


def test_one_network_for_several_numbers_of_values_fills_the_budget(csi, codec_of):
    codec = codec_of.__wrapped__("idasnet", bits=2000, several_values=[10, 20, 40], value_bits=4)
    few = codec_of.__wrapped__("idasnet", bits=300, several_values=[10, 20, 40], value_bits=4)
    sizes = [report.num_bits.double().mean() for report in (few.encode(csi), codec.encode(csi))]
    assert 250 < sizes[0] <= 300
    assert 1900 < sizes[1] <= 2000
    codec.train()
    image = codec.window.images(csi)[0].flatten(0, 1)
    positions = codec._selected(image)[1]
    assert len({int((row < codec.total).sum()) for row in positions}) > 1  # each image has its own number


def test_the_first_stage_of_llmcsinet_is_its_preliminary_decoder(plane_waves):
    codec = create("feedback", "llmcsinet", {"num_values": 40, **SMALL["llmcsinet"], "freeze": True})
    training = plane_waves(batch=4, seed=3)
    codec.prepare(FeedbackShape.of(training))
    batch = TrainingBatch(training, training, training)
    codec.train()
    codec.begin_stage(0)
    codec.training_loss(batch).backward()
    assert all(parameter.grad is None for parameter in codec.prediction.parameters())
    codec.begin_stage(1)
    codec.zero_grad(set_to_none=True)
    codec.training_loss(batch).backward()
    assert all(parameter.grad is None for parameter in codec.selector.parameters())
    assert codec.prediction.to_patches.weight.grad is not None
    kept = codec.saved_state()
    assert any(name.startswith("selector") for name in kept)  # frozen for a while is not frozen for good
