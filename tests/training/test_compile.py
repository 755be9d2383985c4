"""A compiled step is the same step, and a machine that cannot compile is told so in one line."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch

from linksim.core.errors import LinksimError

LIGHT = {"methods": [{"name": "Light", "predictor": {"type": "csi_alm_light", "num_layers": 1}}],
         "training.num_epochs": 1, "training.learning_rate": 1e-3}


@pytest.mark.slow
def test_it_becomes_what_it_becomes_without(toy, train):
    found = [safetensors.torch.load_file(train(toy({**LIGHT, "training.compile": compiled}, str(compiled)))
                                         / "weights.safetensors") for compiled in (False, True)]
    assert found[0].keys() == found[1].keys()
    for name, weight in found[0].items():
        assert torch.allclose(weight, found[1][name], atol=1e-4), name


def test_a_machine_without_a_compiler_is_told_to_leave_it_out(toy, train, monkeypatch):
    def refuse(function, **options):
        def call(*arguments):
            raise torch._dynamo.exc.TorchDynamoException("No working C++ compiler found\nand so on")
        return call

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(LinksimError, match=r"^[^\n]*training\.compile: No working C\+\+ compiler found; leave it out$"):
        train(toy({**LIGHT, "training.compile": True}))
