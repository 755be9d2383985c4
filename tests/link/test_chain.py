"""Drops that go through a predictor a few at a time come out as they do together. Warnings where pilots are too sparse.
The chain as a whole: pairing of methods, physics of the curves, unusable CSI counted or refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.learned import LearnedPredictor
from linksim.channel.statistical.drops import draw_drops
from linksim.core.errors import NumericalError
from linksim.core.registry import create
from linksim.link import chain
from linksim.link.chain import predicted, simulate_chunk
from linksim.loading.load import scenario_from_dict
from linksim.metrics import nmse
from linksim.nr.acquisition import acquire
from linksim.scenario.channel import BsArray, Channel
from linksim.scenario.points import resolved_at, sweep_points
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Acquisition
from linksim.training.preparation import Built


@pytest.mark.parametrize("predictor", ["hold", "wiener", "kalman", "matrix_pencil", "vector_kalman", "pad"])
def test_parts_are_those_of_the_whole(predictor):
    drops = draw_drops(Channel(model="cdl_a", num_subcarriers=6, num_history=16, num_future=3, num_users=2,
                               duplex="fdd_adjacent"), 5, seed=3)
    block, future = create("predictor", predictor), drops.future
    whole = predicted(block, drops.history, future.time_s, future.frequency_hz, 5)
    parts = predicted(block, drops.history, future.time_s, future.frequency_hz, 2)
    torch.testing.assert_close(parts.h, whole.h, rtol=1e-4, atol=1e-4)
    for name in ("time_s", "frequency_hz", "noise_variance", "max_doppler_hz"):
        assert torch.equal(getattr(parts, name), getattr(whole, name))


@pytest.mark.parametrize(("spacing_khz", "users", "warned"), [(15, 2, False), (60, 4, True), (360, 2, True)])
def test_pilots_that_stand_too_far_apart_are_reported_with_the_floor_that_they_leave(spacing_khz, users, warned):
    channel = Channel(num_users=users, num_subcarriers=48, num_history=1, subcarrier_spacing_khz=spacing_khz,
                      bs_array=BsArray(rows=2, columns=2))
    scenario = resolve(scenario_from_dict({
        "channel": channel.model_dump(), "acquisition": {"type": "pilots"}, "methods": ["hold"], "bounds": [],
        "run": {"chunk_size": 20},
    }))
    notes = " ".join(simulate_chunk([(0, scenario)], 1, "cpu", Built()).notes)
    assert ("pilots of a user stand" in notes) is warned
    if warned:
        true = draw_drops(channel, 20, 1).history
        noiseless = acquire(true, Acquisition(type="pilots", csi_snr_db=90), torch.Generator().manual_seed(1))[0]
        said = float(re.search(r"errs by (-?[0-9.]+) dB", notes)[1])
        assert said == pytest.approx(10 * nmse(noiseless.h, true.h).log10().item(), abs=0.3)
    assert not simulate_chunk([(0, scenario)], 1, "cpu", Built(), chunk_index=1).notes


SMALL = {"num_users": 3, "num_subcarriers": 12, "num_history": 8, "num_future": 2,
         "bs_array": {"rows": 2, "columns": 4}}


def simulate(scenario, seed=1):
    points = [(i, resolved_at(scenario, p)) for i, p in enumerate(sweep_points(scenario))]
    result = chain.simulate_chunk(points, seed, "cpu", Built())
    return {(index, method): measures for index, method, measures in result.rows}, result


def predicting(monkeypatch, predictor):
    """Let methods have predictors that are made here."""
    built = Built.of
    monkeypatch.setattr(Built, "of", lambda self, scenario, method, kind: (
        predictor(method) if kind == "predictor" else built(self, scenario, method, kind)))


def scenario(**changes):
    data = {"channel": SMALL, "methods": ["perfect CSI", "hold", "wiener", "zero"], "run": {"chunk_size": 20}}
    return scenario_from_dict({**data, **changes})


def test_adding_a_method_or_an_axis_value_changes_no_value():
    few, _ = simulate(scenario(methods=["hold"]))
    many, _ = simulate(scenario(sweep={"link.snr_db": [20.0, 5.0]}))
    for name, value in few[0, "hold"].items():
        assert torch.equal(value, many[0, "hold"][name])


def test_perfect_csi_zf_gains_a_third_of_a_bit_per_db_and_user_at_high_snr():
    rows, _ = simulate(scenario(link={"precoder": "zf"}, sweep={"link.snr_db": [50, 60]}))
    low, high = (rows[i, "perfect CSI"]["sum_rate_bps_hz"].mean() for i in (0, 1))
    assert float(high - low) / 10 == pytest.approx(3 * math.log2(10) / 10, rel=2e-3)


def test_rates_grow_with_snr_and_stay_below_perfect_csi_and_the_capacity():
    rows, _ = simulate(scenario(sweep={"link.snr_db": [-10, 0, 10, 20, 30]}))
    for method in ("perfect CSI", "hold", "wiener", "sum capacity"):
        rates = [float(rows[i, method]["sum_rate_bps_hz"].mean()) for i in range(5)]
        assert rates == sorted(rates), method
    for i in range(5):
        capacity = rows[i, "sum capacity"]["sum_rate_bps_hz"][:, 0]
        assert (rows[i, "perfect CSI"]["sum_rate_bps_hz"][:, 0] <= capacity + 1e-3).all()
        perfect = rows[i, "perfect CSI"]["rate_bps_hz"].mean()
        for method in ("hold", "wiener", "genie LMMSE CSI"):
            assert rows[i, method]["rate_bps_hz"].mean() <= perfect + 1e-3


def test_what_the_transmitter_knows_is_never_told_by_the_name():
    rows, _ = simulate(scenario(methods=[
        "perfect CSI", {"name": "truth", "csi": "perfect"}, "hold",
        {"name": "perfect CSI, one slot old", "csi": "uplink", "predictor": "hold"},
        {"name": "Perfect CSI, one slot old", "predictor": "hold"}]))
    for name, other in (("truth", "perfect CSI"), ("perfect CSI, one slot old", "hold"),
                        ("Perfect CSI, one slot old", "hold")):
        assert rows[0, name].keys() == rows[0, other].keys()
        assert all(torch.equal(value, rows[0, other][measure]) for measure, value in rows[0, name].items())
    assert rows[0, "hold"]["rate_bps_hz"].mean() < rows[0, "truth"]["rate_bps_hz"].mean()


def test_better_csi_gives_more_rate_and_zero_csi_none():
    rows, result = simulate(scenario())
    assert rows[0, "wiener"]["nmse"].mean() < rows[0, "hold"]["nmse"].mean()
    assert rows[0, "wiener"]["rate_bps_hz"].mean() > rows[0, "hold"]["rate_bps_hz"].mean()
    assert float(rows[0, "zero"]["nmse"].mean()) == pytest.approx(1)
    assert rows[0, "zero"]["rate_bps_hz"].max() == 0
    assert result.counters["rank-deficient resources regularised: zero"] == 20 * 2 * 12


def test_independent_downlink_phases_leave_the_statistical_floor():
    case = scenario(channel={**SMALL, "duplex": "fdd_gapped_independent"}, bounds=["genie_lmmse"],
                    methods=["hold", {"name": "Wiener", "predictor": "wiener"}])
    rows, _ = simulate(case)
    assert float(rows[0, "genie LMMSE bound"]["nmse"].mean()) == pytest.approx(1)
    assert -0.3 < 10 * math.log10(float(rows[0, "Wiener"]["nmse"].mean())) < 1
    assert 10 * math.log10(float(rows[0, "hold"]["nmse"].mean())) > 1.5


def test_one_prediction_serves_all_methods_and_points_that_share_it(monkeypatch):
    made = []
    original = chain.predicted
    monkeypatch.setattr(chain, "predicted", lambda block, *given: made.append(block) or original(block, *given))
    simulate(scenario(methods=["hold", {"name": "hold, MRT", "predictor": "hold", "precoder": "mrt"}],
                      sweep={"link.snr_db": [0, 10, 20]}))
    assert len(made) == 1


@pytest.mark.parametrize(("precision", "mixed"), [(32, set()), ("bf16-mixed", {"learned"})])
def test_only_predictors_trained_by_gradient_descent_have_the_precision_of_the_run(precision, mixed, monkeypatch):
    seen = set()

    class Classical(Predictor):
        name = "classical"

        def predict(self, history, time_s, frequency_hz):
            seen.update({self.name} if torch.is_autocast_enabled("cpu") else ())
            return history.with_h(history.h[..., -1:, :].expand(*history.h.shape[:-2], len(time_s), -1), time_s)

    class Learned(Classical, LearnedPredictor):
        name = "learned"

        def prepare(self, shape):
            pass

    predicting(monkeypatch, lambda method: Learned() if method.predictor.name == "zero" else Classical())
    rows, _ = simulate(scenario(methods=["hold", "zero"], run={"chunk_size": 20, "precision": precision}))
    assert seen == mixed
    assert all(values.dtype.itemsize >= 4 for measures in rows.values() for values in measures.values())
    assert not torch.is_autocast_enabled("cpu")


class Broken(torch.nn.Module):
    def predict(self, history, time_s, frequency_hz):
        h = history.h[..., -1:, :].expand(*history.h.shape[:-2], len(time_s), -1).clone()
        h[0, 0, 0, 0, 0, 0] = torch.nan
        return history.with_h(h, time_s, frequency_hz)


def test_non_finite_csi_is_mended_and_counted_or_refused(monkeypatch):
    predicting(monkeypatch, lambda method: Broken())
    rows, result = simulate(scenario(methods=["hold"]))
    assert result.counters["non-finite CSI entries set to zero: hold"] == 1
    assert torch.isfinite(rows[0, "hold"]["rate_bps_hz"]).all()
    with pytest.raises(NumericalError, match="hold"):
        simulate(scenario(methods=["hold"], link={"unusable_csi": "raise"}))


def test_svd_of_one_user_attains_and_never_passes_the_capacity_in_any_drop():
    case = scenario(channel={**SMALL, "num_users": 1, "ue_array": {"num_antennas": 2}}, methods=["perfect CSI"],
                    link={"num_streams_per_user": 2, "precoder": "svd"}, bounds=["sum_capacity"])
    rows, _ = simulate(case)
    rate, capacity = (rows[0, name]["sum_rate_bps_hz"] for name in ("perfect CSI", "sum capacity"))
    torch.testing.assert_close(rate, capacity, rtol=1e-3, atol=1e-3)


def test_a_channel_that_is_not_finite_is_refused_by_name(monkeypatch):
    original = chain.chunk_of_drops

    def damaged(*arguments):
        drops = original(*arguments)
        drops.future.h[3, 0, 0, 0, 0, 0] = torch.nan
        return drops

    monkeypatch.setattr(chain, "chunk_of_drops", damaged)
    with pytest.raises(NumericalError, match="future of drop 3"):
        simulate(scenario(methods=["hold"]))


def test_multi_antenna_users_with_several_streams_run_through():
    case = scenario(channel={**SMALL, "num_users": 2, "ue_array": {"num_antennas": 2, "polarization": "dual"}},
                    link={"num_streams_per_user": 2, "precoder": "svd"}, run={"chunk_size": 4})
    rows, _ = simulate(case)
    assert rows[0, "perfect CSI"]["rate_bps_hz"].mean() > rows[0, "hold"]["rate_bps_hz"].mean() > 0


def test_users_stand_in_the_sector_where_maps_are_asked_for():
    channel = {**SMALL, "model": "umi", "num_users": 1}
    rows, _ = simulate(scenario(channel=channel, methods=["hold"], bounds=[], run={"chunk_size": 40, "maps": True}))
    east, north = rows[0, "hold"]["east_m"], rows[0, "hold"]["north_m"]
    assert torch.hypot(east, north).max() < 200 * 2 / 3 + 1  # intersite distance, TR 38.901, 7.2
    assert torch.hypot(east, north).min() >= 9
    direction = torch.atan2(north, east)
    assert (direction.max() - direction.min()) < 2 * math.pi / 3 + 0.05
    plain, _ = simulate(scenario(channel=channel, methods=["hold"], bounds=[], run={"chunk_size": 40}))
    assert "east_m" not in plain[0, "hold"]
    assert torch.equal(plain[0, "hold"]["nmse"], rows[0, "hold"]["nmse"])


@pytest.mark.parametrize("unusable", ["raise", "mend"])
def test_a_rank_deficient_true_channel_is_counted_or_stops_where_csi_is_perfect(unusable, monkeypatch):
    original = chain.chunk_of_drops

    def two_alike(*arguments):
        drops = original(*arguments)
        h = drops.future.h.clone()
        h[3, 1] = h[3, 0]  # both users of a drop have one channel
        return replace(drops, future=drops.future.with_h(h))

    monkeypatch.setattr(chain, "chunk_of_drops", two_alike)
    case = scenario(methods=["perfect CSI"], bounds=[], link={"unusable_csi": unusable})
    if unusable == "raise":
        with pytest.raises(NumericalError, match="'perfect CSI': its CSI is rank deficient on 24 resources in drop 3"):
            simulate(case)
        return
    _, result = simulate(case)
    assert result.counters == {"rank-deficient resources regularised: perfect CSI": 24}
