"""A scenario is resolved once: what transmitters know, blocks with all options, trainings with no field left empty."""

from __future__ import annotations

import pytest

from linksim.core.errors import ScenarioError
from linksim.experiment.plan import make_plan
from linksim.loading.load import scenario_from_dict
from linksim.scenario.resolved import resolve

TOP_M = {"type": "top_m", "bits": 60}


@pytest.fixture
def methods(tiny):
    """Methods of the small scenario, resolved."""
    def methods(*written, **changes):
        return resolve(scenario_from_dict(tiny({"methods": list(written), "bounds": [], **changes}))).methods

    return methods


def test_what_the_transmitter_knows_follows_from_the_blocks(methods):
    found = methods("perfect CSI", "hold", {"name": "told", "feedback": TOP_M}, {"name": "true", "csi": "perfect"},
                    {"name": "perfect CSI, of old", "csi": "uplink"},
                    {"name": "perfect CSI, told", "csi": "reports", "feedback": TOP_M})
    assert [method.csi for method in found] == ["perfect", "uplink", "reports", "perfect", "uplink", "reports"]
    assert [method.predictor is None for method in found] == [True, False, False, True, False, False]


@pytest.mark.parametrize(("method", "message"), [
    ({"name": "perfect CSI, one slot old", "predictor": "hold"}, "'perfect CSI, one slot old': a name does not say "
     "what the base station knows: add csi: perfect, or csi: uplink"),
    ({"name": "perfect CSI"}, "'perfect CSI': a name does not say .*: add csi: perfect, or csi: uplink"),
    ({"name": "perfect CSI, told", "feedback": TOP_M}, "add csi: perfect, or csi: reports"),
    ({"name": "a", "csi": "perfect", "feedback": TOP_M}, "methods.0.feedback: 'a' knows the channel and takes no rep"),
    ({"name": "a", "csi": "perfect", "predictor": "ar"}, "methods.0.predictor: 'a' knows the channel and takes no pre"),
    ({"name": "a", "csi": "reports"}, "methods.0.csi: reports, but no feedback is given: name its codec"),
    ({"name": "a", "csi": "uplink", "feedback": TOP_M}, "methods.0.csi: uplink, but feedback is given: write csi: rep"),
    ({"name": "a", "csi": "downlink"}, "methods.0.csi"),
    ({"name": "a", "predictor": {"order": 2}}, "methods.0.predictor: a block is written as its name or as .type: name"),
    ({"name": "a", "predictor": "none"}, "methods.0.predictor: unknown predictor 'none'"),
])
def test_what_contradicts_itself_is_one_line_with_the_line_to_write(method, message, methods):
    with pytest.raises(ScenarioError, match=message) as caught:
        methods(method)
    assert "\n" not in str(caught.value)


def test_knowing_the_channel_makes_a_reference_under_any_name(tiny):
    plan = make_plan(scenario_from_dict(tiny({"methods": [
        "perfect CSI", {"name": "truth", "csi": "perfect"}, {"name": "perfect CSI, of old", "csi": "uplink"}]})))
    records = {record["name"]: record for record in plan.method_records()}
    assert records["truth"]["kind"] == records["perfect CSI"]["kind"] == "reference"
    assert records["truth"]["summary"] == records["perfect CSI"]["summary"]
    assert records["perfect CSI, of old"]["kind"] == "method"


def test_blocks_have_all_of_their_options_and_those_that_sections_say_for_all(methods):
    own, told = methods({"name": "own", "feedback": TOP_M}, {"name": "told", "feedback": "top_m"},
                        **{"feedback.bits": 90, "link.precoder": "mrt"})
    assert (own.feedback.options["bits"], told.feedback.options["bits"]) == (60, 90)
    assert own.feedback.options.keys() == told.feedback.options.keys() == own.feedback.spec.options.model_fields.keys()
    assert (own.feedback.title(), told.feedback.title()) == ("top_m (bits 60)", "top_m")
    assert own.precoder == told.precoder
    assert own.precoder.name == "mrt"
    assert [block.kind for block in told.blocks] == ["predictor", "feedback", "precoder"]


def test_blocks_are_the_same_when_they_are_trained_the_same(methods):
    ridge = {"predictor": "ridge"}
    one, same, other, named = (method.predictor.key for method in methods(
        {"name": "a", **ridge}, {"name": "b", **ridge, "training": {"fraction": 1.0}},
        {"name": "c", **ridge, "training": {"fraction": 0.5}},
        {"name": "d", "predictor": {"type": "ridge", "num_snr_classes": 1}}, **{"channel.num_history": 8}))
    assert one == same
    assert len({one, other, named}) == 3
    wiener = methods({"name": "a", "predictor": "wiener"}, **{"training.fraction": 0.5, "channel.num_history": 8})[0]
    assert wiener.predictor.key == methods({"name": "a", "predictor": "wiener"})[0].predictor.key
