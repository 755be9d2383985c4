"""The 3GPP codebooks on channels: what each of them holds of a UMa channel, and what it costs."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback import codebook
from linksim.blocks.feedback.bits import choice_bits
from linksim.blocks.feedback.ports import LAYOUTS
from linksim.blocks.precoding.linear import ZeroForcing
from linksim.channel.statistical.drops import draw_drops
from linksim.core.csi import Csi, Panel
from linksim.core.errors import ScenarioError
from linksim.core.registry import create
from linksim.metrics import sgcs
from linksim.scenario.channel import Channel

CODEBOOKS = ("type1", "type2", "etype2")


@pytest.fixture(scope="module")
def uma() -> Csi:
    """16 drops of 2 users, 4 x 4 dual-polarised antennas, 52 resource blocks of 180 kHz."""
    channel = Channel.model_validate({"num_subcarriers": 52, "num_history": 1, "num_future": 1, "num_users": 2})
    return draw_drops(channel, 16, seed=7).history


@pytest.fixture(scope="module")
def score(uma):
    """SGCS and mean bits of a codebook."""
    known = {}

    def of(name: str, **options) -> tuple[float, float]:
        key = (name, *sorted(options.items()))
        if key not in known:
            codec = create("feedback", name, options)
            report = codec.encode(uma)
            known[key] = float(sgcs(codec.decode(report).h, uma.h)), float(report.num_bits.double().mean())
        return known[key]

    return of


def test_more_beams_taps_or_coefficients_hold_more_of_a_uma_channel(score):
    for smaller, larger in ((1, 2), (2, 4), (1, 3), (3, 4), (4, 5), (4, 6), (4, 7), (7, 8)):
        (sgcs_smaller, bits_smaller), (sgcs_larger, bits_larger) = (score("etype2", combination=combination)
                                                                    for combination in (smaller, larger))
        assert sgcs_smaller < sgcs_larger, (smaller, larger)
        assert bits_smaller < bits_larger, (smaller, larger)


def test_enhanced_type_2_beats_type_2_at_fewer_bits_and_both_beat_type_1(score):
    type1, bits1 = score("type1")
    assert bits1 == 34
    for num_beams, combination in ((2, 4), (4, 6)):
        type2, bits2 = score("type2", num_beams=num_beams)
        etype2, bits = score("etype2", combination=combination)
        assert bits < bits2
        assert type1 + 0.05 < type2 < etype2


def test_two_precoders_a_subband_hold_more(score):
    assert score("etype2", combination=6, precoders_per_subband=2)[0] > score("etype2", combination=6)[0]


@pytest.mark.parametrize("name", CODEBOOKS)
@pytest.mark.parametrize("rank", [1, 2])
def test_rows_are_unit_norm_constant_in_a_subband_and_span_the_eigenvectors(name, rank, plane_waves):
    csi = plane_waves(ue_ant=2, num_paths=2, num_subcarriers=24)
    codec = create("feedback", name, {"rank": rank})
    report = codec.encode(csi)
    decoded = codec.decode(report)
    assert decoded.h.shape == (3, 2, rank, 16, 1, 24)
    assert decoded.h.dtype == torch.complex64
    norms = torch.linalg.vector_norm(decoded.h, dim=3)
    torch.testing.assert_close(norms, torch.ones_like(norms))
    by_subband = decoded.h.unflatten(-1, (6, 4))
    torch.testing.assert_close(by_subband, by_subband[..., :1].expand_as(by_subband))
    # energy of the channel in the span of the rows, against that in the strongest eigenvectors
    rows, h = (x.squeeze(-2).permute(0, 1, 4, 2, 3) for x in (decoded.h, csi.h))
    span = torch.linalg.svd(rows, full_matrices=False)[2].mH
    held = (h @ span).abs().square().sum() / torch.linalg.svdvals(h)[..., :rank].square().sum()
    assert {"type1": 0.4, "type2": 0.7, "etype2": 0.7}[name] < held <= 1 + 1e-5


@pytest.mark.parametrize("name", CODEBOOKS)
@pytest.mark.parametrize("rank", [1, 2])
def test_a_users_report_does_not_depend_on_the_others(name, rank, plane_waves):
    csi = plane_waves(num_subcarriers=26)
    codec = create("feedback", name, {"rank": rank})
    together = codec.encode(csi)
    alone = []
    for drop in range(3):
        part = slice(drop, drop + 1)
        for user in range(2):
            alone += codec.encode(Csi(
                csi.h[part, user:user + 1], csi.time_s, csi.frequency_hz, csi.noise_variance[part, user:user + 1],
                csi.panel, csi.max_doppler_hz[part, user:user + 1])).payload
    assert together.payload == tuple(alone)


@pytest.mark.parametrize("name", CODEBOOKS)
def test_many_users_are_searched_in_parts_with_the_same_result(name, plane_waves, monkeypatch):
    csi = plane_waves(num_subcarriers=26)
    codec = create("feedback", name)
    together = codec.encode(csi).payload
    monkeypatch.setattr(codebook, "USERS_AT_ONCE", 4)
    assert codec.encode(csi).payload == together


@pytest.mark.parametrize("name", CODEBOOKS)
def test_the_ledger_is_the_report_and_no_report_is_shorter_than_the_least(name, uma):
    codec = create("feedback", name)
    report = codec.encode(uma)
    assert [ledger.num_bits for ledger in report.ledgers] == report.num_bits.flatten().tolist()
    assert (report.num_bits >= codec.minimum_bits(report.grid)).all()


def test_zero_forcing_on_reports_keeps_users_apart(uma):
    """Interference over signal falls when the report is finer."""
    def leakage(h_hat: torch.Tensor) -> float:
        rows, h = (x[..., 0, :].permute(0, 3, 1, 2, 4)[..., 0, :] if x.ndim == 5 else
                   x.squeeze(-2).permute(0, 4, 1, 2, 3) for x in (h_hat, uma.h))
        received = h.flatten(-3, -2) @ ZeroForcing().precode(rows, 0.0, 1)
        power = received.abs().square()
        signal = power.diagonal(dim1=-2, dim2=-1).sum()
        return float((power.sum() - signal) / signal)

    coarse, fine = (leakage(codec.decode(codec.encode(uma)).h) for codec in
                    (create("feedback", "type1"), create("feedback", "etype2", {"combination": 8})))
    assert leakage(uma.h) < 1e-6 < fine < coarse


def test_a_channel_that_is_zero_has_a_report(one_instant):
    csi = one_instant(torch.zeros(1, 1, 2, 16, 1, 26, dtype=torch.complex64))
    for name in CODEBOOKS:
        for rank in (1, 2):
            codec = create("feedback", name, {"rank": rank})
            decoded = codec.decode(codec.encode(csi))
            norms = torch.linalg.vector_norm(decoded.h, dim=3)
            torch.testing.assert_close(norms, torch.ones_like(norms))


def test_a_panel_on_its_side_is_served_alike(plane_waves):
    """Columns and rows exchanged: the same ports, so the same bits."""
    csi = plane_waves(num_subcarriers=26)
    turned = Csi(
        csi.h.unflatten(3, csi.panel.shape).transpose(4, 5).flatten(3, 5), csi.time_s, csi.frequency_hz,
        csi.noise_variance, Panel(rows=csi.panel.columns, columns=csi.panel.rows, polarizations=2), csi.max_doppler_hz)
    for name in CODEBOOKS:
        codec = create("feedback", name)
        assert codec.encode(turned).payload == codec.encode(csi).payload


@pytest.mark.parametrize("name", CODEBOOKS)
def test_what_a_codebook_cannot_serve_is_refused_in_one_line(name, one_instant):
    single = one_instant(torch.ones(1, 1, 1, 16, 1, 26, dtype=torch.complex64),
                         Panel(rows=4, columns=4, polarizations=1))
    dual = one_instant(torch.ones(1, 1, 1, 16, 1, 26, dtype=torch.complex64))
    for csi, options, text in ((single, {}, "dual-polarised"), (dual, {"rank": 2}, "antennas at the terminal")):
        with pytest.raises(ScenarioError, match=text) as error:
            create("feedback", name, options).encode(csi)
        assert "\n" not in str(error.value)
        assert f"'{name}'" in str(error.value)


def test_a_band_without_subbands_is_reported_as_one(plane_waves):
    codec = create("feedback", "type1")
    report = codec.encode(plane_waves(num_subcarriers=8))
    assert report.num_bits.unique().tolist() == [choice_bits(16) + choice_bits(8) + 2]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_standard_is_served(layout, one_instant):
    columns, rows = layout
    torch.manual_seed(columns)
    h = torch.randn(2, 1, 2, 2 * columns * rows, 1, 26, dtype=torch.complex64)
    csi = one_instant(h, Panel(rows=rows, columns=columns, polarizations=2))
    for name, options in (("type1", {}), ("type2", {"num_beams": 2}), ("etype2", {"combination": 2})):
        for rank in (1, 2):
            codec = create("feedback", name, {**options, "rank": rank})
            report = codec.encode(csi)
            assert (report.num_bits >= codec.minimum_bits(report.grid)).all()
            norms = torch.linalg.vector_norm(codec.decode(report).h, dim=3)
            torch.testing.assert_close(norms, torch.ones_like(norms))
