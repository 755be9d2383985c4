"""Folding low-rank additions in changes cost, not outputs."""

from __future__ import annotations

import torch

from linksim.backbone import BackboneChoice, build_backbone
from linksim.blocks.merging import merge_low_rank

CHOICE = BackboneChoice(backbone="smollm2", num_layers=1)


def test_merged_additions_do_the_same_without_being_there():
    backbone = build_backbone(CHOICE)
    additions = [parameter for name, parameter in backbone.named_parameters() if ".lora_B." in name]
    for parameter in additions:
        parameter.data += 0.1
    vectors = torch.randn(2, 5, backbone.width, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = backbone(vectors)
        assert not torch.allclose(build_backbone(CHOICE)(vectors), before, atol=1e-2)
        merge_low_rank(backbone)
        merge_low_rank(backbone)  # the second time does nothing
        torch.testing.assert_close(backbone(vectors), before, atol=1e-4, rtol=1e-4)
        for parameter in additions:
            parameter.zero_()
        torch.testing.assert_close(backbone(vectors), before, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(build_backbone(CHOICE)(vectors), before, atol=1e-2)  # the next one is untouched


def test_blocks_without_additions_are_left_alone():
    block = torch.nn.Linear(2, 2)
    before = block.weight.clone()
    merge_low_rank(block)
    assert block.weight.equal(before)
