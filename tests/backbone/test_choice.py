"""Options of a backbone: plain values, checked before anything is loaded."""

from __future__ import annotations

import pytest

from linksim.backbone import BackboneChoice
from linksim.core.errors import ScenarioError


@pytest.mark.parametrize(("options", "message"), [
    ({"adaptation": "lorra"}, "option 'adaptation': unknown 'lorra': did you mean 'lora'?"),
    ({"weights": "pretrain"}, "option 'weights': unknown 'pretrain': did you mean 'pretrained'?"),
    ({"body": "attention_layer"}, "option 'body': unknown 'attention_layer': did you mean 'attention'?"),
    ({"words": "mixed"}, "option 'words': unknown 'mixed'"),
    ({"num_layers": 0}, r"option 'num_layers': must be at least 1 \(given 0\)"),
    ({"lora_rank": 0}, r"option 'lora_rank': must be at least 1 \(given 0\)"),
    ({"lora_dropout": 1.0}, r"option 'lora_dropout': must be at least 0 and below 1 \(given 1.0\)"),
    ({"dropout": -0.1}, r"option 'dropout': must be at least 0 and below 1 \(given -0.1\)"),
])
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(ScenarioError, match=message):
        BackboneChoice(**options)


def test_a_list_of_a_scenario_file_will_do():
    assert hash(BackboneChoice(lora_targets=["q_proj"])) == hash(BackboneChoice(lora_targets=("q_proj",)))
