"""A checkpoint that is not a block's is told in one line, whatever of it is wrong; nothing of it is taken over. Folding
low-rank additions in changes cost, not outputs.
"""

from __future__ import annotations

import pytest
import torch

from linksim.backbone import BackboneChoice, build_backbone
from linksim.blocks.feedback.learned import ClosedFormCodec, FeedbackShape
from linksim.blocks.parameters import fill, matched, merge_low_rank
from linksim.blocks.prediction.learned import ProblemShape
from linksim.blocks.universal.base import FittedBlock, UniversalShape
from linksim.core.csi import Panel
from linksim.core.errors import LinksimError
from linksim.core.registry import block_class, catalogue, create

PANEL = Panel(2, 2, 2)


def of_class(kind, made_by):
    return [spec.name for spec in catalogue(kind)
            if isinstance(block_class(kind, spec.name), type) and issubclass(block_class(kind, spec.name), made_by)]


def predictor(name, **options):
    block = create("predictor", name, options)
    block.prepare(ProblemShape(4, 2, 6, 0.1))
    return block, lambda state: fill(block, state)


def codec(name, **options):
    block = create("feedback", name, options)
    block.prepare(FeedbackShape(1, PANEL, 12))
    return block, block.restore


def universal(name):
    block = create("universal", name, {})
    block.prepare(UniversalShape(1, PANEL, 12, 30e3, 1))
    return block, lambda state: fill(block, state)


KINDS = {
    "ridge": lambda: predictor("ridge"),
    "gru": lambda: predictor("gru", hidden_size=3),
    "idasnet": lambda: codec("idasnet", num_values=8, delay_window=4),
    **{name: lambda name=name: codec(name) for name in of_class("feedback", ClosedFormCodec)},
    **{name: lambda name=name: universal(name) for name in of_class("universal", FittedBlock)},
}


def learned(block):
    """What a checkpoint of it would hold: an axis that grows with what was learned has three entries."""
    state = block.saved_state() if hasattr(block, "saved_state") else block.state_dict()
    state = {name: torch.zeros([size or 3 for size in tensor.shape], dtype=tensor.dtype) if 0 in tensor.shape else
             tensor.detach().clone() for name, tensor in state.items()}
    if block.block_name == "klt":  # fewer tones than there are
        state |= {"tone_basis": state["tone_basis"][:, :5], "deviation": state["deviation"][:8 * 5]}
    return state


def wrong(state):
    """Every way to be wrong of every tensor, and what it is."""
    for name, tensor in state.items():
        def other(value, name=name):
            return {**state, name: value}

        yield "missing", {key: value for key, value in state.items() if key != name}
        yield "renamed", {f"x.{key}" if key == name else key: value for key, value in state.items()}
        yield "an axis more", other(tensor[None])
        if tensor.ndim:
            yield "an axis less", other(tensor[0])
            yield "twice as long", other(torch.cat([tensor, tensor], -1))
            yield "empty", other(tensor[..., :0])
        if tensor.is_floating_point() or tensor.is_complex():
            yield "whole numbers", other(tensor.real.int())
            for value in (torch.nan, torch.inf):
                bad = tensor.clone()
                bad.reshape(-1)[-1:] = value
                yield "not finite", other(bad)
        else:
            yield "fractions", other(tensor.float())
            yield "other whole numbers", other(tensor.to(torch.int16))
        yield ("real", other(tensor.real)) if tensor.is_complex() else ("complex", other(tensor + 0j))
    yield "more", {**state, "more": torch.zeros(2)}
    yield "none", {}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_wrong_with_a_checkpoint_is_one_line_and_changes_nothing(kind):
    block, restore = KINDS[kind]()
    state = learned(block)
    count = 0
    for what, bad in wrong(state):
        if what == "twice as long" and len(bad) == 1 and 0 in next(iter(block.state_dict().values())).shape:
            continue  # as many as were learned
        before = {name: tensor.clone() for name, tensor in block.state_dict().items()}
        with pytest.raises(LinksimError, match=f"does not fit {kind}") as fault:
            restore(bad)
        assert "\n" not in str(fault.value), what
        if kind != "klt":  # whose sizes are made ready first
            assert all(torch.equal(tensor, before[name]) for name, tensor in block.state_dict().items()), what
        count += 1
    assert count > 5
    restore(state)
    halves = {name: tensor.half() if tensor.dtype == torch.float32 else tensor for name, tensor in state.items()}
    restore(halves)
    for name, tensor in block.state_dict().items():
        if name in state:
            assert tensor.dtype == state[name].dtype
            assert torch.equal(tensor, halves[name].to(tensor.dtype))


@pytest.mark.parametrize("kind", of_class("feedback", ClosedFormCodec))
def test_tables_that_no_coder_can_use_are_refused(kind):
    block, restore = KINDS[kind]()
    state = learned(block)
    tables = [name for name, tensor in state.items() if tensor.dtype == torch.int32]
    assert tables
    for name in tables:
        for value in (0, -1, 70_000):
            with pytest.raises(LinksimError, match=f"does not fit {kind}: {name} holds no frequencies"):
                restore({**state, name: torch.full_like(state[name], value)})


def test_what_is_learned_together_has_one_number():
    expected = {"place": torch.zeros(0, 3), "value": torch.zeros(0)}
    assert matched(expected, {"place": torch.zeros(4, 3), "value": torch.zeros(4)}, "map")["place"].shape == (4, 3)
    with pytest.raises(LinksimError, match="does not fit map: as many as were learned are 4 and 5"):
        matched(expected, {"place": torch.zeros(4, 3), "value": torch.zeros(5)}, "map")


def test_many_faults_are_counted():
    with pytest.raises(LinksimError, match=r"does not fit x: missing 0, missing 1, missing 2, missing 3 and 5 more$"):
        matched({str(number): torch.zeros(1) for number in range(9)}, {}, "x")


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
