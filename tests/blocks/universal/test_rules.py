"""What scenarios with tasks cannot say, each in one line that names the key."""

import pytest
import yaml

from linksim.core.errors import ScenarioError
from linksim.loading.load import load_scenario

GOOD = {
    "channel": {"source": "ray_traced", "carrier_frequency_ghz": 3.4, "num_users": 1, "num_history": 1, "num_future": 1,
                "num_subcarriers": 8, "speed_kmh": 0},
    "methods": [{"name": "encoders", "universal": "alignment"},
                {"name": "model", "universal": "ai2mmum", "universal_training": {"teacher": "encoders"}}],
    "bounds": [], "metrics": ["beam_top1"], "run": {"stopping": {"metric": "beam_top1"}},
}


def loaded(tmp_path, **changes):
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return load_scenario(path)


def test_a_good_one_is_taken(tmp_path):
    assert loaded(tmp_path).methods[1].universal == "ai2mmum"


def _model(**changes):
    return [GOOD["methods"][0], {**GOOD["methods"][1], **changes}]


@pytest.mark.parametrize(("changes", "message"), [
    ({"channel": {"num_users": 1}}, r"channel.source: tasks are about terminals of ray-traced channels \(given mod"),
    ({"channel": {**GOOD["channel"], "num_users": 2}}, "channel.num_users: tasks are about one user"),
    ({"channel": {**GOOD["channel"], "duplex": "fdd_adjacent"}}, "channel.duplex: tasks are answered from the uplink"),
    ({"methods": [{"name": "encoders", "universal": "alignment"}]}, "methods: alignment only teaches"),
    ({"methods": _model(universal="ai2mmumm")}, "methods.1.universal: unknown universal 'ai2mmumm': did you mean"),
    ({"methods": [*_model(), {"name": "other", "universal": "wkn"}]},  # the model asks who may teach it
     "scenario.yaml:.*: methods.2.universal: unknown universal 'wkn': did you mean 'wknn'"),
    ({"methods": _model(universal={"type": "ai2mmum", "prompt": "none"})}, "option 'prompt'"),
    ({"methods": _model(universal={"type": "ai2mmum", "checkpoint": "nowhere"})},
     "methods.1.universal: no checkpoint in .*/nowhere: there is no weights.safetensors"),
    ({"methods": _model(feedback="top_m")}, "methods.1.feedback: 'model' answers tasks instead"),
    ({"methods": _model(universal_training={"teacher": "encoder"})},
     "methods.1.universal_training.teacher: no trained method 'encoder' to teach 'model': did you mean 'encoders'"),
    ({"methods": [*GOOD["methods"], {"name": "pupil", "universal": "ai2mmum", "universal_training":
                                     {"teacher": "model"}}]}, "'model' has a teacher itself"),
    ({"methods": [{"name": name, "universal": "ai2mmum", "universal_training": {"teacher": other}}
                  for name, other in (("a", "b"), ("b", "a"))]}, "'b' has a teacher itself"),
    ({"methods": _model(universal_training={"start_from": "encoders"})}, "universal_training.start_from"),
    ({"methods": _model(universal_training={"channel": {"num_subcarriers": 4}})},
     "universal_training.channel.num_subcarriers: cannot be another one"),
    ({"methods": ["hold", {"name": "b", "universal_training": {"num_epochs": 2}}]},
     "methods.1.universal_training: 'b' answers no tasks"),
    ({"methods": ["hold"]}, "metrics: beam_top1 is of tasks, and no method answers any"),
    ({"metrics": ["nmse_db"], "run": {}}, "metrics: methods answer tasks, but no metric of tasks"),
    ({"run": {"stopping": {"metric": "position_error_cdf90_m"}}}, "run.stopping.metric: a percentile"),
])
def test_what_cannot_be(tmp_path, changes, message):
    with pytest.raises(ScenarioError, match=message):
        loaded(tmp_path, **changes)
