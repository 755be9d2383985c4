"""What scenarios with captions cannot say, each in one line that names the key."""

import pytest
import yaml

from linksim.core.errors import ScenarioError
from linksim.loading.load import load_scenario

GOOD = {
    "channel": {"model": "umi", "num_users": 1, "num_history": 4, "num_future": 1, "num_subcarriers": 12,
                "bs_array": {"rows": 2, "columns": 2}, "ue_array": {"num_antennas": 4}},
    "link": {"precoder": {"type": "svd", "power": "equal"}, "num_streams_per_user": 2},
    "semantic": {"data": "emoji", "channel_uses": 8},
    "methods": [{"name": "perfect CSI, joint", "csi": "perfect", "semantic": "deepsc_mimo"},
                {"name": "hold", "semantic": "deepsc_mimo"}],
    "bounds": [], "metrics": ["map"], "run": {"stopping": {"metric": "map"}},
}


def loaded(tmp_path, **changes):
    data = {**GOOD, **changes}
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(data))
    return load_scenario(path)


def test_a_good_one_is_taken(tmp_path):
    scenario = loaded(tmp_path)
    assert scenario.semantic.channel_uses == 8


@pytest.mark.parametrize(("changes", "message"), [
    ({"semantic": {"data": "emoji", "channel_uses": 1}},
     "semantic.channel_uses: 1 symbols are fewer than the 2 streams"),
    ({"semantic": {"data": "emoji", "channel_uses": 7}}, "semantic.channel_uses: 7 symbols do not fill 2 streams"),
    ({"semantic": {"data": "emojis", "channel_uses": 8}},
     "semantic.data: unknown retrieval_data 'emojis': did you mean"),
    ({"semantic": {"data": {"type": "emoji", "sead": 1}}}, "semantic.data: .*no option 'sead'"),
    ({"channel": {**GOOD["channel"], "num_users": 2}}, "channel.num_users: captions are sent to one user"),
    ({"metrics": ["rate_bps_hz"], "run": {}}, "metrics: methods send captions, but no metric of retrieval"),
    ({"methods": ["hold"]}, "metrics: map is of captions, and no method has a semantic codec"),
    ({"methods": [{"name": "a", "semantic": "deepsc"}]}, "methods.0.semantic: unknown semantic 'deepsc': did you mean"),
    ({"methods": [{"name": "a", "semantic": {"type": "deepsc_mimo", "width": "wide"}}]}, "option 'width'"),
    ({"methods": [{"name": "a", "semantic": {"type": "deepsc_mimo", "checkpoint": "nowhere"}}]},
     "methods.0.semantic: no checkpoint in .*/nowhere: there is no weights.safetensors"),
    ({"methods": [{"name": "a", "semantic": "deepsc_mimo", "feedback": {"type": "etype2", "combination": 4}}]},
     "methods.0.feedback: etype2 reports directions alone|feedback"),
    ({"methods": [{"name": "a", "semantic": "deepsc_mimo", "semantic_training": {"teacher": "b"}}]},
     "semantic codecs have no teachers"),
    ({"methods": [{"name": "a", "semantic": "deepsc_mimo"}, {"name": "b", "semantic_training": {"num_epochs": 2}}]},
     "methods.1.semantic_training: 'b' has no semantic codec"),
    ({"methods": [{"name": "a", "csi": "perfect", "semantic": "deepsc_mimo", "predictor": "ar"}]},
     "methods.0.predictor: 'a' knows the channel and takes no predictor"),
])
def test_faults_are_named(tmp_path, changes, message):
    with pytest.raises(ScenarioError, match=message):
        loaded(tmp_path, **changes)
