"""Options of a backbone: plain values, checked before anything is loaded."""

from __future__ import annotations

import pydantic
import pytest

from linksim.backbone import BackboneChoice


@pytest.mark.parametrize("options", [
    {"adaptation": "lorra"}, {"weights": "pretrain"}, {"body": "attention_layer"}, {"words": "mixed"},
    {"num_layers": 0}, {"lora_rank": 0}, {"lora_dropout": 1.0}, {"dropout": -0.1}, {"layers": 2},
], ids=str)
def test_a_wrong_option_is_named(options):
    with pytest.raises(pydantic.ValidationError, match=next(iter(options))):
        BackboneChoice(**options)


def test_a_list_of_a_scenario_file_will_do():
    assert hash(BackboneChoice(lora_targets=["q_proj"])) == hash(BackboneChoice(lora_targets=("q_proj",)))
