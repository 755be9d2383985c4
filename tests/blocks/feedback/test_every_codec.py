"""Invariants of every codec, with and without a budget, trained or not (learned ones have tests of their own)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch

from linksim.blocks.feedback.base import FeedbackCodec, Report, ReportGrid, history_of, instants
from linksim.blocks.feedback.learned import ClosedFormCodec, FeedbackShape, FittedCodec
from linksim.core.csi import Csi
from linksim.core.errors import LinksimError, ReportError
from linksim.core.registry import block_class, catalogue, create, find
from linksim.metrics import nmse, sgcs

NAMES = [spec.name for spec in catalogue("feedback")
         if not issubclass(block_class("feedback", spec.name), FittedCodec)
         or issubclass(block_class("feedback", spec.name), ClosedFormCodec)]
WITH_BUDGET = [name for name in NAMES if "bits" in find("feedback", name).options.model_fields]


@pytest.fixture(scope="module")
def csi(plane_waves) -> Csi:
    return plane_waves()


@pytest.fixture(scope="module")
def codec_of(plane_waves) -> Callable[..., FeedbackCodec]:
    @cache
    def build(name: str, bits: int | None = None) -> FeedbackCodec:
        codec = create("feedback", name, {} if bits is None else {"bits": bits})
        if isinstance(codec, ClosedFormCodec):
            training = plane_waves(batch=60, seed=9)
            codec.prepare(FeedbackShape.of(training))
            codec.observe(training, validation=False)
            codec.observe(plane_waves(batch=5, seed=10), validation=True)
            assert 0 < codec.solve() < 1.1
        return codec

    return build


def part(csi: Csi, index: torch.Tensor | slice) -> Csi:
    return replace(csi, h=csi.h[index], noise_variance=csi.noise_variance[index],
                   max_doppler_hz=csi.max_doppler_hz[index])


def from_bytes(report: Report) -> Report:
    """What arrives: the payload, its length and the grid, nothing else of the encoder's."""
    grid = report.grid
    known = ReportGrid(grid.num_ue_antennas, grid.time_s.clone(), grid.frequency_hz.clone(), grid.panel,
                       grid.max_doppler_hz.clone(), grid.noise_variance.clone())
    return Report(tuple(bytes(payload) for payload in report.payload), report.num_bits.clone(), known)


@pytest.mark.parametrize("name", NAMES)
def test_the_payload_holds_exactly_the_bits_of_the_ledger(name, csi, codec_of):
    report = codec_of(name).encode(csi)
    assert report.num_bits.shape == csi.h.shape[:2]
    assert report.num_bits.dtype == torch.int64
    for payload, num_bits, ledger in zip(report.payload, report.num_bits.flatten().tolist(), report.ledgers):
        assert len(payload) == math.ceil(num_bits / 8)
        assert sum(ledger.values()) == num_bits
        assert num_bits >= codec_of(name).minimum_bits(report.grid)
        assert all(count >= 0 for count in ledger.values())


@pytest.mark.parametrize("name", NAMES)
def test_decoded_from_bytes_alone_it_is_csi_on_the_reported_grid(name, csi, codec_of):
    codec = codec_of(name)
    report = codec.encode(csi)
    decoded = codec.decode(from_bytes(report))
    assert torch.equal(decoded.h, codec.decode(report).h)
    assert decoded.h.dtype == torch.complex64
    assert decoded.h.isfinite().all()
    assert decoded.h.shape[:2] == csi.h.shape[:2]
    assert decoded.h.shape[3:] == csi.h.shape[3:]
    assert torch.equal(decoded.frequency_hz, csi.frequency_hz)
    if codec.kind == "explicit":
        assert decoded.h.shape == csi.h.shape
    else:
        norm = torch.linalg.vector_norm(decoded.h[:, :, 0], dim=2)
        assert torch.allclose(norm, torch.ones_like(norm), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_report_tells_more_than_chance(name, csi, codec_of):
    codec = codec_of(name)
    decoded = codec.decode(codec.encode(csi))
    if codec.kind == "explicit":
        assert nmse(decoded.h, csi.h) < 0.5
    assert sgcs(decoded.h, csi.h) > 2 / csi.panel.num_antennas


@pytest.mark.parametrize("name", NAMES)
def test_permuting_or_splitting_the_batch_changes_no_bit(name, csi, codec_of):
    codec = codec_of(name)
    whole, users = codec.encode(csi), csi.h.shape[1]
    order = torch.tensor([2, 0, 1])
    permuted = codec.encode(part(csi, order))
    alone = codec.encode(part(csi, slice(1, 2)))
    assert alone.payload == whole.payload[users:2 * users]
    assert permuted.payload == tuple(whole.payload[users * d + u] for d in order.tolist() for u in range(users))
    assert torch.equal(codec.decode(permuted).h, codec.decode(whole).h[order])


@pytest.mark.parametrize("name", NAMES)
def test_a_silent_user_is_reported_without_touching_the_others(name, csi, codec_of):
    codec = codec_of(name)
    h = csi.h.clone()
    h[1, 0] = 0
    report = codec.encode(csi.with_h(h))
    decoded = codec.decode(report)
    assert decoded.h.isfinite().all()
    if codec.kind == "explicit":
        assert not decoded.h[1, 0].any()
    assert report.payload[0] == codec.encode(csi).payload[0]


@pytest.mark.parametrize("name", NAMES)
def test_truncated_and_padded_reports_raise_one_line_that_names_the_user(name, csi, codec_of):
    codec = codec_of(name)
    report = codec.encode(csi)
    for broken in (report.payload[3][:-1], report.payload[3] + b"\0"):
        payload = (*report.payload[:3], broken, *report.payload[4:])
        with pytest.raises(ReportError, match="drop 1, user 1: ") as caught:
            codec.decode(replace(report, payload=payload))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_shorter_report_than_was_sent_raises_or_is_another_report(name, csi, codec_of):
    codec = codec_of(name)
    report = codec.encode(part(csi, slice(0, 1)))
    with pytest.raises(ReportError):
        codec.decode(replace(report, payload=(b"", b""), num_bits=torch.zeros(1, 2, dtype=torch.int64)))


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bits_give_finite_csi_or_a_report_error_and_are_concealed_on_request(name, csi, codec_of):
    codec = codec_of(name)
    report = codec.encode(part(csi, slice(0, 1)))
    generator = torch.Generator().manual_seed(0)
    failed = 0
    for _ in range(20):
        payload = bytearray(report.payload[0])
        bit = int(torch.randint(int(report.num_bits[0, 0]), (), generator=generator))
        payload[bit // 8] ^= 0x80 >> bit % 8
        broken = replace(report, payload=(bytes(payload), report.payload[1]))
        try:
            assert codec.decode(broken).h.isfinite().all()
        except ReportError:
            failed += 1
            decoded, concealed = codec.decode_concealing(broken)
            assert concealed.tolist() == [[True, False]]
            assert not decoded.h[0, 0].any()
            assert torch.equal(decoded.h[0, 1], codec.decode(report).h[0, 1])
    assert failed < 20 or "values" in report.ledgers[0]


@pytest.mark.parametrize("bits", [64, 200, 700])
@pytest.mark.parametrize("name", WITH_BUDGET)
def test_the_budget_is_never_exceeded(name, bits, plane_waves, codec_of):
    report = codec_of(name, bits).encode(plane_waves(batch=6, seed=4))
    assert int(report.num_bits.max()) <= bits


@pytest.mark.parametrize("name", WITH_BUDGET)
def test_more_bits_are_never_worse_on_average(name, plane_waves, codec_of):
    csi = plane_waves(batch=8, seed=5)
    scores = []
    for bits in (64, 128, 256, 512, 1024):
        codec = codec_of(name, bits)
        decoded = codec.decode(codec.encode(csi))
        scores.append(float(nmse(decoded.h, csi.h)) if codec.kind == "explicit" else 1 - float(sgcs(decoded.h, csi.h)))
    assert all(later <= earlier for earlier, later in pairwise(scores)), scores


@pytest.mark.parametrize("name", WITH_BUDGET)
def test_too_few_bits_are_refused_with_the_minimum(name, csi, codec_of):
    needed = codec_of(name).minimum_bits(ReportGrid.of(csi))
    with pytest.raises(LinksimError, match=f"at least {needed}"):
        create_like(codec_of(name), needed - 1).encode(csi)
    assert int(create_like(codec_of(name), needed).encode(csi).num_bits.max()) <= needed


def create_like(codec: FeedbackCodec, bits: int) -> FeedbackCodec:
    """The same codec, training included, with another budget."""
    options = {"bits": bits}
    fresh = create("feedback", codec.block_name, options)
    if isinstance(fresh, FittedCodec):
        fresh.prepare(codec.shape)
        for name, buffer in codec.named_buffers():
            setattr(fresh, name, buffer)
    return fresh


@pytest.mark.parametrize("name", NAMES)
def test_the_size_of_the_channel_does_not_matter(name, csi, codec_of):
    codec = codec_of(name)
    plain = codec.decode(codec.encode(csi)).h
    for scale in (1e-5, 10.0):  # -100 and 20 dB: whole numbers of the steps that scales are sent in
        scaled = codec.decode(codec.encode(csi.with_h(csi.h * scale))).h
        if codec.kind == "explicit":
            assert float(nmse(scaled, csi.h * scale)) == pytest.approx(float(nmse(plain, csi.h)), rel=0.02)
        else:  # ties in a search may fall the other way
            assert float(sgcs(scaled, csi.h)) == pytest.approx(float(sgcs(plain, csi.h)), abs=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_instant_or_not_finite_is_refused(name, csi, codec_of):
    codec = codec_of(name)
    two = replace(csi, h=csi.h.repeat(1, 1, 1, 1, 2, 1), time_s=torch.arange(2.0))
    with pytest.raises(ValueError, match="instants"):
        codec.encode(two)
    assert codec.encode(instants(two)).num_bits.shape == (2 * csi.h.shape[0], csi.h.shape[1])
    with pytest.raises(ValueError, match="not finite"):
        codec.encode(csi.with_h(csi.h * torch.nan))


def test_instants_are_put_together_again(plane_waves):
    csi = plane_waves()
    history = replace(csi, h=torch.randn(3, 2, 2, 16, 5, 16, dtype=torch.complex64), time_s=torch.arange(5.0))
    again = history_of(instants(history), history.time_s)
    assert torch.equal(again.h, history.h)
    assert torch.equal(again.max_doppler_hz, history.max_doppler_hz)
