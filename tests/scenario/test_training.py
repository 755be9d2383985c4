"""The section `training`: presets, what a method has otherwise, and what names a result."""

import pytest

from linksim.core.errors import ScenarioError
from linksim.experiment.plan import make_plan
from linksim.loading.load import scenario_from_dict
from linksim.scenario.identity import scenario_hash
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Method, Scenario, Training
from linksim.scenario.training import PRESETS, MethodTraining, merged


def with_ridge(tiny, changes=None, **training):
    return scenario_from_dict(tiny({"methods": [{"name": "ridge", "predictor": "ridge"}, "hold"],
                                    "training": training, **(changes or {})}))


def test_a_preset_fills_what_neither_file_nor_method_says():
    training = merged(Training(preset="gpu", learning_rate=0.5, patience=3), MethodTraining(patience=7))
    assert (training.learning_rate, training.patience) == (0.5, 7)
    assert training.num_epochs == PRESETS["gpu"]["num_epochs"]
    assert merged(Training(), MethodTraining(preset="gpu")).precision == "bf16-mixed"
    for preset in PRESETS.values():
        assert None not in merged(Training(), MethodTraining(**preset)).model_dump(exclude={"csi_snr_db"}).values()


def test_fields_at_their_defaults_name_no_result(tiny):
    plain = scenario_hash(with_ridge(tiny))
    assert scenario_hash(with_ridge(tiny, num_drops=400, fraction=1.0, preset="cpu", devices=2, cache_gb=1)) == plain
    assert len({scenario_hash(with_ridge(tiny, **{key: value})) for key, value in (
        ("num_epochs", 3), ("fraction", 0.5), ("csi_snr_db", [5, 20]), ("channel", {"model": "umi"}),
        ("preset", "gpu"), ("weights_seed", 1))} | {plain}) == 7


def test_the_precision_of_a_run_names_results_where_it_is_not_single(tiny):
    plain = scenario_hash(with_ridge(tiny))
    assert scenario_hash(with_ridge(tiny, {"run.precision": 32})) == plain
    assert scenario_hash(with_ridge(tiny, {"run.precision": "bf16-mixed"})) != plain


def test_a_method_has_its_own_training_and_a_resolved_scenario_keeps_it(tiny):
    scenario = with_ridge(tiny, {"methods": [
        {"name": "ridge", "predictor": "ridge", "training": {"fraction": 0.1, "channel": {"model": "umi"}}}]})
    assert scenario_hash(scenario) != scenario_hash(with_ridge(tiny, {"methods": [
        {"name": "ridge", "predictor": "ridge"}]}))
    again = Scenario.model_validate(scenario.model_dump(mode="json"))
    training = resolve(again).methods[0].predictor.training
    assert (training.fraction, training.channel) == (0.1, {"model": "umi"})


def test_a_method_s_training_can_be_swept_without_drawing_other_channels(tiny):
    scenario = with_ridge(tiny, {"sweep": {"methods.ridge.training.fraction": [0.1, 1.0]}})
    assert len(make_plan(scenario).channel_points) == 1


@pytest.mark.parametrize(("changes", "message"), [
    ({"training.learning_rat": 1}, "learning_rat': did you mean 'learning_rate'?"),
    ({"training.learning_rate": 0}, "training.learning_rate: must be above 0"),
    ({"training.fraction": 0}, "training.fraction: must be above 0"),
    ({"training.precision": "bf16"}, "training.precision: must be"),
    ({"training.csi_snr_db": [20, 5]}, "training: csi_snr_db goes from 20 down to 5"),
    ({"training.csi_snr_db": [5, 20], "acquisition.type": "perfect"}, "training.csi_snr_db: acquisition.type is perf"),
    ({"training.batch_drops": 9, "training.devices": 2}, "batch_drops (9) cannot be shared evenly by 2 processes"),
    ({"training.devices": 3}, "training: batch_drops (16) cannot be shared evenly by 3 processes"),
    ({"training.channel": {"modle": "umi"}}, "training.channel.modle: unknown key: did you mean 'model'?"),
    ({"training.channel": {"model": "cdl_a", "los": "los"}}, "training.channel: los cannot be chosen"),
    ({"training.channel": {"bs_array": {"rows": 0}}}, "training.channel.bs_array.rows: must be at least 1"),
    ({"training.channel": {"num_history": 3}}, "training.channel.num_history: cannot be another one in training"),
    ({"training.channel": {"files": {}}}, "training files are named in channel.files.training_path"),
    ({"methods.hold.training.fraction": 0.1}, "methods.1.training: 'hold' is not trained"),
    ({"methods.hold.predictor": {"type": "hold", "checkpoint": "x"}}, "predictor 'hold' is not trained: leave its"),
    ({"methods.ridge.predictor": {"type": "ridge", "checkpoint": 3}}, "checkpoint names a folder (given 3)"),
    ({"methods.ridge.training.fractoin": 0.1}, "did you mean 'fraction'?"),
    ({"methods.ridge.training.channel": {"modle": 1}}, "methods.0.training.channel.modle: unknown key"),
    ({"methods.ridge.training.folder": "x"}, "unknown key 'folder'"),
    ({"methods.ridge.training.teacher": "hold"}, "no trained method 'hold' to teach 'ridge': no other method is tr"),
])
def test_mistakes_are_told_in_one_line(changes, message, tiny):
    data = tiny({"methods": [{"name": "ridge", "predictor": "ridge"}, "hold"]})
    with pytest.raises(ScenarioError) as error:
        scenario_from_dict(data, changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_every_field_of_a_method_s_training_is_the_scenario_s_own():
    assert set(MethodTraining.model_fields) == set(Training.model_fields) - {"folder"}
    for name, field in MethodTraining.model_fields.items():
        assert field.default is None
        assert field.description == Training.model_fields[name].description
    assert Method(name="a").training is None
