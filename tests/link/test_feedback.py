"""Reports in the chain: what arrives, when, with which errors, and that nothing else of a scenario changes."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from linksim.channel.statistical.drops import draw_drops
from linksim.core import registry
from linksim.core.errors import ScenarioError
from linksim.link import chain
from linksim.link.feedback import downlink_at_terminal, report_history, with_bit_errors
from linksim.loading.checks import check
from linksim.metrics import nmse
from linksim.scenario.channel import BsArray, Channel
from linksim.scenario.identity import scenario_hash
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Acquisition, Feedback, Scenario
from linksim.training.preparation import Built

CHANNEL = {"num_subcarriers": 8, "num_history": 4, "num_future": 2, "num_users": 2, "speed_kmh": 3,
           "bs_array": {"rows": 1, "columns": 4}}
ALONE = {"methods": ["hold"], "metrics": ["nmse_db", "rate_bps_hz"]}
TOP_M = {"name": "top-M", "predictor": "hold", "feedback": {"type": "top_m", "bits": 200}}


def scenario_of(**changes) -> Scenario:
    data = {"channel": CHANNEL, "methods": ["hold", TOP_M], "bounds": [],
            "metrics": ["nmse_db", "sgcs", "rate_bps_hz", "feedback_bits"]}
    scenario = Scenario.model_validate(copy.deepcopy({**data, **changes}))
    check(resolve(scenario))
    return scenario


def rows_of(scenario: Scenario, seed: int = 1):
    scenario = scenario.model_copy(update={"run": scenario.run.model_copy(update={"chunk_size": 3})})
    result = chain.simulate_chunk([(0, resolve(scenario))], seed, "cpu", Built())
    return {name: measures for _, name, measures in result.rows}, result


@pytest.fixture(scope="module")
def drops():
    return draw_drops(Channel.model_validate(CHANNEL), 3, 1)


@pytest.fixture(scope="module")
def estimate(drops):
    return downlink_at_terminal(drops.downlink_history(), Acquisition(csi_snr_db=30), 1)[0]


def test_a_method_with_reports_changes_nothing_of_the_others():
    alone, _ = rows_of(scenario_of(**ALONE))
    beside, _ = rows_of(scenario_of())
    assert torch.equal(alone["hold"]["nmse"], beside["hold"]["nmse"])
    assert torch.equal(alone["hold"]["rate_bps_hz"], beside["hold"]["rate_bps_hz"])


def test_a_scenario_without_reports_has_the_hash_it_always_had():
    plain, with_defaults = scenario_of(**ALONE), scenario_of(**ALONE, feedback={"delay_periods": 0})
    assert scenario_hash(plain) == scenario_hash(with_defaults)
    others = [scenario_of(**ALONE, feedback={"delay_periods": 1}), scenario_of(),
              scenario_of(feedback={"bits": 99}), scenario_of(feedback={"bit_error_rate": 0.1})]
    assert len({scenario_hash(one) for one in [plain, *others]}) == 5


def test_the_bits_of_every_report_are_a_metric():
    rows, _ = rows_of(scenario_of())
    assert rows["top-M"]["feedback_bits"].shape == (3, 2)
    assert (rows["top-M"]["feedback_bits"] <= 200).all()
    assert (rows["top-M"]["feedback_bits"] > 150).all()
    assert "feedback_bits" not in rows["hold"]


def test_the_sections_budget_serves_codecs_that_name_none():
    top_m = {**TOP_M, "feedback": "top_m"}
    rows, _ = rows_of(scenario_of(methods=[TOP_M, {**top_m, "name": "section's"}], feedback={"bits": 90}))
    assert (rows["section's"]["feedback_bits"] <= 90).all()
    assert (rows["top-M"]["feedback_bits"] > 90).all()


@pytest.mark.parametrize("duplex", ["tdd", "fdd_adjacent", "fdd_gapped_independent"])
def test_reports_tell_the_downlink_in_every_duplex_mode(duplex):
    rows, _ = rows_of(scenario_of(channel={**CHANNEL, "duplex": duplex}, acquisition={"csi_snr_db": 40}))
    assert rows["top-M"]["nmse"].mean() < 0.1


def test_late_reports_are_those_of_earlier_instants(estimate):
    codec = registry.create("feedback", "top_m", {"bits": 300})
    prompt = report_history(estimate, codec, Feedback(), 1)
    late = report_history(estimate, codec, Feedback(delay_periods=1), 1)
    assert torch.equal(late.history.h, prompt.history.h[..., :-1, :])
    assert torch.equal(late.history.time_s, estimate.time_s[:-1])
    last = report_history(estimate, codec, Feedback(delay_periods=1), 1, last_only=True)
    assert torch.equal(last.history.h, late.history.h[..., -1:, :])


def test_waiting_makes_held_csi_worse():
    fast = {**CHANNEL, "speed_kmh": 60}
    errors = [rows_of(scenario_of(channel=fast, feedback={"delay_periods": delay}))[0]["top-M"]["nmse"].mean()
              for delay in (0, 2)]
    assert errors[1] > 1.2 * errors[0]


def test_terminals_noise_is_not_the_base_stations(drops, estimate):
    again, _ = downlink_at_terminal(drops.downlink_history(), Acquisition(csi_snr_db=30), 1)
    assert torch.equal(again.h, estimate.h)
    other, _ = downlink_at_terminal(drops.downlink_history(), Acquisition(csi_snr_db=20), 1)
    truth = drops.history.h
    assert torch.allclose((other.h - truth) / (estimate.h - truth), torch.tensor(10**0.5 + 0j), rtol=1e-3)


def test_bit_errors_strike_the_payload_and_only_it(estimate):
    codec = registry.create("feedback", "top_m", {"bits": 300})
    report = codec.encode(replace(estimate, h=estimate.h[..., -1:, :], time_s=estimate.time_s[-1:]))
    assert with_bit_errors(report, 0.0, torch.Generator()).payload == report.payload
    wrong = with_bit_errors(report, 1.0, torch.Generator())
    for sent, received, num_bits in zip(report.payload, wrong.payload, report.num_bits.flatten().tolist()):
        flipped = int.from_bytes(sent, "big") ^ int.from_bytes(received, "big")
        assert flipped == (2**num_bits - 1) << (-num_bits % 8)


def test_reports_beyond_decoding_are_replaced_by_the_last_one_and_counted(estimate):
    codec = registry.create("feedback", "top_m", {"bits": 300})
    clean = report_history(estimate, codec, Feedback(), 1)
    struck = report_history(estimate, codec, Feedback(bit_error_rate=0.02), 1)
    assert clean.num_concealed == 0
    assert struck.num_concealed > 0
    assert struck.history.h.isfinite().all()
    assert nmse(struck.history.h, estimate.h) > nmse(clean.history.h, estimate.h)
    _, result = rows_of(scenario_of(feedback={"bit_error_rate": 0.05}))
    assert result.counters["reports that could not be decoded: top-M"] > 0


def test_directions_alone_have_similarity_and_rate_but_no_error():
    two = {**CHANNEL, "bs_array": {"rows": 2, "columns": 4}, "ue_array": {"num_antennas": 2}}
    method = {"name": "type I", "predictor": "hold", "feedback": "type1"}
    rows, _ = rows_of(scenario_of(channel=two, methods=[method]))
    assert "nmse" not in rows["type I"]
    assert 0.1 < rows["type I"]["sgcs"].mean() <= 1
    assert rows["type I"]["rate_bps_hz"].isfinite().all()


def test_each_kind_of_method_has_a_genie_that_sees_what_it_sees():
    plenty = {"name": "plenty of bits", "predictor": "wiener", "feedback": {"type": "top_m", "bits": 4000}}
    rows, _ = rows_of(scenario_of(channel={**CHANNEL, "duplex": "fdd_adjacent"}, methods=["hold", plenty, "wiener"],
                                  bounds=["genie_lmmse", "genie_lmmse_reports"], feedback={"delay_periods": 1}))
    uplink, reports = (rows[name]["nmse"].mean() for name in ("genie LMMSE bound", "genie LMMSE reports bound"))
    assert reports < rows["plenty of bits"]["nmse"].mean() < uplink < rows["wiener"]["nmse"].mean()
    assert {"genie LMMSE CSI", "genie LMMSE reports CSI"} < {*rows}
    assert "nmse" not in rows["genie LMMSE reports CSI"]


@pytest.mark.parametrize(("changes", "message"), [
    ({"feedback": {"bits": 20}, "methods": [{**TOP_M, "feedback": "top_m"}]}, "methods.0.feedback: .*at least"),
    ({"methods": [{**TOP_M, "feedback": "top_n"}]}, "unknown feedback 'top_n': did you mean 'top_m'"),
    ({"methods": [{**TOP_M, "feedback": {"type": "top_m", "bit": 3}}]}, "no option 'bit'"),
    ({"methods": [{"name": "perfect CSI", "csi": "perfect", "feedback": "top_m"}]}, "takes no report"),
    ({"methods": [{**TOP_M, "feedback": {"type": "top_m", "checkpoint": "nowhere"}}]}, "'top_m' is not trained: leave"),
    ({"methods": [{**TOP_M, "feedback": {"type": "klt", "checkpoint": "nowhere"}}]},
     "methods.0.feedback: no checkpoint in nowhere: there is no weights.safetensors"),
    ({"acquisition": {"type": "pilots"}}, "pilots are the uplink's"),
    ({"feedback": {"delay_periods": 4}}, "feedback.delay_periods: 4 of 4 reports have not arrived"),
    ({"methods": [{**TOP_M, "predictor": "wiener", "feedback": "type1"}]}, "use the predictor hold"),
    ({"methods": [{**TOP_M, "feedback": "type1"}],
      "channel": {**CHANNEL, "bs_array": {"rows": 1, "columns": 4, "polarization": "single"}}}, "dual"),
    ({"bounds": ["genie_lmmse"], "channel": {**CHANNEL, "duplex": "fdd_adjacent"}}, "reports tell more"),
    ({"bounds": ["genie_lmmse_reports"], "methods": ["hold"]}, "there are none: leave it out"),
    ({"feedback": {"bits": 99}, "methods": ["hold"]}, "feedback.bits: nothing takes this budget .no method has feed"),
    ({"feedback": {"bits": 99}, "methods": [{**TOP_M, "feedback": "type1"}]}, r"budget \(type1: sizes of their own\)"),
    ({"methods": [{**TOP_M, "feedback": "klt"}], "sweep": {"methods.top-M.feedback.num_table_drops": [1, 2]}},
     "bits alone"),
    ({"methods": [{**TOP_M, "feedback": "off_grid_memory"}], "feedback": {"bits": 99, "bit_error_rate": 0.01}},
     "feedback.bit_error_rate: reports of off_grid_memory build on the ones before"),
])
def test_what_cannot_be_combined_is_refused_in_one_line(changes, message):
    with pytest.raises(ScenarioError, match=message) as caught:
        scenario_of(**changes)
    assert "\n" not in str(caught.value)


def test_no_method_of_one_report_passes_the_rate_distortion_bound():
    method = {**TOP_M, "feedback": "top_m"}
    rows, _ = rows_of(scenario_of(methods=[method], bounds=["genie_rate_distortion"], feedback={"bits": 100}))
    bound = rows["genie rate-distortion bound"]
    assert set(bound) == {"nmse"}
    assert bound["nmse"].shape == (3, 2)
    assert bound["nmse"].mean() < rows["top-M"]["nmse"].mean()


@pytest.mark.parametrize(("changes", "message"), [
    ({"methods": [{**TOP_M, "feedback": "top_m"}]}, "set feedback.bits"),
    ({"methods": [TOP_M], "feedback": {"bits": 99}}, r"at feedback.bits \(99\), but the codec of .* has 200"),
    ({"methods": [{**TOP_M, "feedback": "type1"}], "feedback": {"bits": 99},
      "channel": {**CHANNEL, "bs_array": {"rows": 2, "columns": 2}}}, "a size of its own"),
    ({"methods": ["hold"], "feedback": {"bits": 99}}, "every method needs feedback"),
    ({"methods": [{**TOP_M, "feedback": "off_grid_memory"}], "feedback": {"bits": 99}}, "build on the ones before"),
])
def test_the_rate_distortion_bound_is_for_single_reports_of_its_size(changes, message):
    with pytest.raises(ScenarioError, match=message):
        scenario_of(bounds=["genie_rate_distortion"], **changes)


def test_the_error_of_a_report_is_that_of_its_own_time():
    still, _ = rows_of(scenario_of(channel={**CHANNEL, "speed_kmh": 0}))
    torch.testing.assert_close(still["top-M"]["nmse_reported"], still["top-M"]["nmse"])
    moving, _ = rows_of(scenario_of(channel={**CHANNEL, "speed_kmh": 200}, feedback={"delay_periods": 1}))
    assert (moving["top-M"]["nmse_reported"] < moving["top-M"]["nmse"]).all()
    assert "nmse_reported" not in moving["hold"]


def test_reports_can_be_swept(scenario_file):
    from linksim import load_scenario
    from linksim.experiment.plan import make_plan

    scenario = load_scenario(scenario_file({
        "methods": [{**TOP_M, "feedback": "top_m"}, {**TOP_M, "name": "own"}], "bounds": [],
        "sweep.feedback.bits": [100, 200], "sweep.methods.own.feedback.delay_window": [2, 4],
    }))
    plan = make_plan(scenario)
    assert [(axis.column, axis.stage) for axis in plan.axes] == [("bits", "feedback"), ("delay_window", "feedback")]
    last = plan.channel_points[0].points[-1][1]
    assert last.feedback.bits == 200
    assert last.methods[1].feedback.options["delay_window"] == 4


def test_the_array_of_a_scenario_is_the_one_a_codec_is_checked_against():
    from linksim.blocks.feedback.base import check_grid

    channel = Channel(num_subcarriers=8, bs_array=BsArray(rows=1, columns=4))
    with pytest.raises(ScenarioError, match="8 antennas and 8 subcarriers"):
        check_grid(registry.create("feedback", "top_m", {"bits": 5}), channel)
