"""Overrides and axes by dotted path, down to the options of a block given by its bare name."""

from __future__ import annotations

import pytest

from linksim.core.errors import ScenarioError
from linksim.experiment.plan import make_plan
from linksim.loading.load import scenario_from_dict
from linksim.scenario.dotted import place_of, replaced, value_at
from linksim.scenario.points import axis_stage
from linksim.scenario.resolved import resolve

METHODS = ["perfect CSI", {"name": "AR", "predictor": "ar"}, {"name": "AR.2", "predictor": {"type": "ar", "order": 1}},
           "hold", {"name": "plain"}]
LONG = {"methods": METHODS, "channel.num_history": 16}


@pytest.mark.parametrize(("key", "value", "name", "expected"), [
    ("methods.AR.predictor.order", 6, "AR", ("ar", {"order": 6})),
    ("methods.AR.2.predictor.order", 6, "AR.2", ("ar", {"order": 6})),
    ("methods.1.predictor.order", 6, "AR", ("ar", {"order": 6})),
    ("methods.AR.predictor.type", "kalman", "AR", ("kalman", {})),
    ("methods.AR.predictor", "kalman", "AR", ("kalman", {})),
    ("methods.hold.predictor.band", "copy", "hold", ("hold", {"band": "copy"})),
    ("methods.plain.predictor.band", "copy", "plain", ("hold", {"band": "copy"})),
])
def test_an_option_opens_up_a_block_given_by_name(key, value, name, expected, tiny):
    scenario = scenario_from_dict(tiny(LONG), {key: value})
    predictor = resolve(scenario).method(name).predictor
    assert (predictor.name, predictor.given) == expected


def test_a_precoder_given_by_name_is_opened_up(tiny):
    data = replaced(tiny({"link.precoder": "zf"}), "link.precoder.power", 1)
    assert data["link"]["precoder"] == {"type": "zf", "power": 1}
    assert replaced(tiny(), "link.precoder.power", 1)["link"]["precoder"] == {"type": "rzf", "power": 1}
    with pytest.raises(ScenarioError, match=r"uses link\.precoder"):
        scenario_from_dict(tiny(LONG), {"methods.plain.predictor": "hold", "methods.AR.predictor.order": 2,
                                        "methods.hold.precoder.power": 1})


def test_the_section_of_feedback_is_not_a_method_s_codec(tiny):
    scenario = scenario_from_dict(tiny({"name": "job"}), {"feedback.delay_periods": 1})
    assert scenario.feedback.delay_periods == 1
    with pytest.raises(ScenarioError, match="this method has no feedback"):
        scenario_from_dict(tiny(LONG), {"methods.plain.feedback.bits": 60})


def test_an_override_leaves_its_input_alone(tiny):
    data = tiny(LONG)
    replaced(data, "methods.AR.predictor.order", 6)
    assert data == tiny(LONG)


def test_an_option_left_out_has_its_default_value(tiny):
    scenario = scenario_from_dict(tiny(LONG))
    assert value_at(scenario, "methods.AR.predictor.order") == value_at(scenario, "methods.1.predictor.order") > 1
    assert value_at(scenario, "methods.AR.2.predictor.order") == 1
    with pytest.raises(KeyError, match="did you mean 'order'"):
        value_at(scenario, "methods.AR.predictor.ordre")


def test_a_place_numbers_methods(tiny):
    assert place_of(tiny(LONG), "methods.AR.2.predictor.order") == ("methods", 2, "predictor", "order")
    assert place_of(tiny(), "channel.new.key") == ("channel", "new", "key")


def test_a_predictor_option_can_be_swept_and_repeats_from_prediction(tiny):
    key = "methods.AR.predictor.order"
    plan = make_plan(scenario_from_dict(tiny({**LONG, "sweep": {key: [1, 2, 3]}})))
    assert [(axis.column, axis.stage) for axis in plan.axes] == [("order", "prediction")]
    assert len(plan.channel_points) == 1
    points = plan.channel_points[0].points
    orders = [scenario.methods[1].predictor.options["order"] for _, scenario in points]
    assert orders == [1, 2, 3]
    assert len({scenario.acquisition for _, scenario in points}) == 1


@pytest.mark.parametrize(("key", "stage"), [
    ("channel.bs_array.rows", "channel"), ("acquisition.csi_snr_db", "acquisition"),
    ("methods.AR.predictor.order", "prediction"), ("methods.AR.precoder.power", "precoding"),
    ("methods.AR.precoder", "precoding"), ("link.snr_db", "precoding"),
])
def test_an_axis_repeats_from_the_stage_of_its_field(key, stage):
    assert axis_stage(key) == stage


def test_a_swept_option_out_of_range_names_its_axis(tiny):
    with pytest.raises(ScenarioError, match=r"sweep\.methods\.AR\.predictor\.order.*at least 1"):
        scenario_from_dict(tiny({**LONG, "sweep": {"methods.AR.predictor.order": [0, 2]}}))
    with pytest.raises(ScenarioError, match=r"sweep\.methods\.AR\.predictor\.order.*history of at least"):
        scenario_from_dict(tiny({**LONG, "sweep": {"methods.AR.predictor.order": [2, 20]}}))


@pytest.mark.parametrize("overrides", [{"sweep.link.snr_db": [0, 10]}, {"sweep": {"link.snr_db": [0, 10]}}])
def test_an_axis_is_set_as_every_other_key(overrides, tiny):
    assert scenario_from_dict(tiny(), overrides).sweep == {"link.snr_db": [0, 10]}
    swept = tiny({"sweep": {"link.snr_db": [5], "channel.speed_kmh": [3, 30]}})
    kept = {} if "sweep" in overrides else {"channel.speed_kmh": [3, 30]}
    assert scenario_from_dict(swept, overrides).sweep == {"link.snr_db": [0, 10], **kept}
    assert place_of(swept, "sweep.link.snr_db") == ("sweep", "link.snr_db")
