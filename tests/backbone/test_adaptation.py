"""What is trained, by name and by number; nothing else, and nothing changes before training."""

from __future__ import annotations

import pytest
import torch

from linksim.backbone import BackboneChoice, build_backbone
from linksim.core.errors import ScenarioError


def build(name, **options):
    return build_backbone(BackboneChoice(backbone=name, **{"num_layers": 2, **options}))


def trained(backbone):
    return {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


@pytest.mark.parametrize(("adaptation", "body", "num_trained", "num_parameters"), [
    ("frozen", "language_model", 0, 81_912_576),
    ("norms", "language_model", 806_400, 81_912_576),  # 13 norms of 2 x 768, 1024 positions
    ("lora", "language_model", 147_456, 82_060_032),  # 6 layers, rank 8, 768 to 3 x 768
    ("full", "language_model", 43_315_200, 81_912_576),
    ("frozen", "attention", 3_151_872, 41_749_248),
    ("lora", "none", 0, 38_597_376),  # the dictionary alone
])
def test_sizes_with_gpt2_dimensions_need_no_weights(adaptation, body, num_trained, num_parameters):
    backbone = build("gpt2", num_layers=6, weights="random", adaptation=adaptation, body=body)
    assert count(trained(backbone).values()) == num_trained
    assert count(backbone.parameters()) == num_parameters


def test_low_rank_additions_change_nothing_at_first(tiny, vectors):
    assert build(tiny)(vectors).equal(build(tiny, adaptation="frozen")(vectors))


def test_low_rank_additions_are_all_that_is_trained_and_they_act(tiny, vectors):
    backbone = build(tiny)
    before = backbone(vectors)
    assert trained(backbone)
    assert all(".lora_" in name for name in trained(backbone))
    before.square().sum().backward()
    assert {name for name, parameter in backbone.named_parameters() if parameter.grad is not None} == {
        *trained(backbone)}
    for name, parameter in trained(backbone).items():
        if ".lora_B." in name:
            parameter.data += 0.1
    assert not torch.allclose(backbone(vectors), before, atol=1e-2)


def test_alpha_over_rank_weighs_the_additions(tiny, vectors):
    outputs = []
    for options in ({"lora_alpha": 4.0}, {"lora_alpha": 8.0}):
        backbone = build(tiny, lora_rank=4, **options)
        for name, parameter in trained(backbone).items():
            parameter.data = torch.full_like(parameter, 1e-3 if ".lora_B." in name else 1e-2)
        outputs.append(backbone(vectors) - build(tiny, adaptation="frozen")(vectors))
    assert torch.allclose(outputs[1], 2 * outputs[0], rtol=0.05, atol=1e-5)


def test_only_norms_and_positions(tiny):
    names = {name.removeprefix("body.").removesuffix(".weight").removesuffix(".bias")
             for name in trained(build(tiny, adaptation="norms", num_layers=1))}
    assert names in ({"wpe", "h.0.ln_1", "h.0.ln_2", "ln_f"},
                     {"layers.0.input_layernorm", "layers.0.post_attention_layernorm", "norm"})


def test_full_training_leaves_the_words_alone(tiny):
    backbone = build(tiny, adaptation="full")
    assert {*trained(backbone)} == {name for name, _ in backbone.named_parameters()} - {"words"}


@pytest.mark.parametrize("options", [{}, {"weights": "random"}, {"body": "attention"}, {"words": "shuffled"}])
def test_a_seed_gives_the_same_parameters_and_another_seed_others(tiny, options):
    first, second, third = (build(tiny, seed=seed, **options).state_dict() for seed in (1, 1, 2))
    assert all(first[name].equal(second[name]) for name in first)
    assert any(not first[name].equal(third[name]) for name in first)


def test_more_layers_leave_the_random_ones_before_them_alone(tiny_folders):
    one, two = (build(str(tiny_folders["llama"]), weights="random", num_layers=n, adaptation="frozen") for n in (1, 2))
    assert all(weight.equal(two.state_dict()[name]) for name, weight in one.state_dict().items())


def test_other_targets_and_a_wrong_one(tiny_folders):
    llama = str(tiny_folders["llama"])
    names = {name.split(".")[-4] for name in trained(build(llama, lora_targets=("o_proj", "up_proj")))}
    assert names == {"o_proj", "up_proj"}
    with pytest.raises(ScenarioError, match="option 'lora_targets': it has no linear map 'q_project': did you mean "
                                            "'q_proj'"):
        build(llama, lora_targets=("q_project",))


def test_dropout_acts_in_training_alone(tiny, vectors):
    backbone = build(tiny, adaptation="frozen", dropout=0.5)
    assert not backbone(vectors).equal(backbone(vectors))
    backbone.eval()
    assert backbone(vectors).equal(backbone(vectors))
    quiet = build(tiny, adaptation="frozen")
    assert quiet(vectors).equal(quiet(vectors))
    assert backbone(vectors).equal(quiet(vectors))
