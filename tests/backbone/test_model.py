"""A backbone in use: sample by sample, causal, with gradients, and with what its last layer attends to."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from linksim.backbone import BackboneChoice, build_backbone, model


def build(name, **options):
    return build_backbone(BackboneChoice(backbone=name, **{"num_layers": 2, **options}))


@pytest.mark.parametrize("body", ["language_model", "attention", "none"])
def test_a_sample_does_not_depend_on_its_neighbours(tiny, vectors, body):
    backbone = build(tiny, body=body)
    together = backbone(vectors)
    assert torch.allclose(torch.cat([backbone(sample[None]) for sample in vectors]), together, atol=1e-5)
    assert torch.allclose(backbone(vectors.flip(0)).flip(0), together, atol=1e-5)


@pytest.mark.parametrize("body", ["language_model", "attention"])
def test_a_token_sees_those_before_it_and_its_position(tiny, vectors, body):
    backbone = build(tiny, body=body)
    changed = torch.cat([vectors[:, :4], 2 * vectors[:, 4:]], 1)
    assert torch.allclose(backbone(changed)[:, :4], backbone(vectors)[:, :4], atol=1e-5)
    assert not torch.allclose(backbone(changed)[:, 4:], backbone(vectors)[:, 4:], atol=1e-2)
    swapped = vectors[:, [1, 0, *range(2, 7)]]  # the last token has seen the same set
    assert not torch.allclose(backbone(swapped)[:, -1], backbone(vectors)[:, -1], atol=1e-5)


def test_gradients_pass_through_a_frozen_model(tiny, vectors):
    backbone = build(tiny, adaptation="frozen")
    vectors.requires_grad_()
    backbone(vectors).square().sum().backward()
    assert (vectors.grad != 0).all()
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_inference_mode_and_mixed_precision(tiny, vectors):
    backbone = build(tiny)
    with torch.inference_mode():
        output = backbone(vectors)
    assert torch.allclose(output, backbone(vectors), atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, attention = backbone.forward_with_attention(vectors)
        mixed.float().square().mean().backward()
    assert torch.allclose(mixed.float(), output, atol=0.1)
    assert all(torch.isfinite(part).all() for part in attention)
    assert all(torch.isfinite(parameter.grad).all() for parameter in backbone.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("options", [{}, {"adaptation": "frozen"}, {"body": "attention"}, {"num_layers": 1}])
def test_query_key_relation_is_the_last_layer_s_attention(tiny, vectors, options):
    backbone = build(tiny, **options)
    for name, parameter in backbone.named_parameters():
        if ".lora_B." in name:
            parameter.data += 0.02
    hidden, attention = backbone.forward_with_attention(vectors)
    assert torch.allclose(hidden, backbone(vectors), atol=1e-6)
    assert all(part.shape == vectors.shape for part in attention)  # 6 heads of 8 make the width

    queries, keys, values = (part.unflatten(-1, (6, 8)).transpose(1, 2) for part in attention)
    mask = torch.ones(7, 7).triu(1).bool()
    relation = (queries @ keys.mT / 8**0.5).masked_fill(mask, -torch.inf).softmax(-1)
    backbone.body.set_attn_implementation("eager")
    expected = backbone.body(inputs_embeds=vectors, output_attentions=True).attentions[-1]
    assert torch.allclose(relation, expected, atol=1e-5)

    layers = backbone.body.h if hasattr(backbone.body, "h") else backbone.body.layers
    layer = layers[-1]
    mixed = (relation @ values).transpose(1, 2).flatten(-2)
    output = layer.attn.c_proj if hasattr(layer, "attn") else layer.self_attn.o_proj
    seen = []
    handle = output.register_forward_hook(lambda module, inputs, result: seen.append(inputs[0]))
    backbone(vectors)
    handle.remove()
    assert torch.allclose(mixed, seen[0], atol=1e-5)


def test_attention_of_the_last_layer_has_gradients_and_is_not_held_back(tiny, vectors):
    backbone = build(tiny)
    for name, parameter in backbone.named_parameters():
        if ".lora_B." in name:
            parameter.data += 0.02
    _, attention = backbone.forward_with_attention(vectors)
    sum(part.square().sum() for part in attention).backward()
    assert all(parameter.grad.abs().sum() > 0 for name, parameter in backbone.named_parameters()
               if ".lora_" in name and any(part in name for part in ("c_attn", "q_proj", "k_proj", "v_proj")))
    held = [weakref.ref(part) for part in attention]
    del attention, _
    gc.collect()
    assert all(reference() is None for reference in held)


def test_no_body_passes_its_input_on_and_has_no_attention(tiny, vectors):
    backbone = build(tiny, body="none")
    assert backbone(vectors).equal(vectors)
    assert backbone.word_embeddings().equal(build(tiny).word_embeddings())
    with pytest.raises(ValueError, match="body 'none': it has no attention"):
        backbone.forward_with_attention(vectors)


def test_one_attention_layer_keeps_the_dictionary_but_nothing_else_that_was_learned(tiny, vectors):
    attention, model = build(tiny, body="attention"), build(tiny, num_layers=1, adaptation="frozen")
    assert attention.word_embeddings().equal(model.word_embeddings())
    state = model.state_dict()
    for name, weight in attention.body.state_dict().items():
        assert "mlp" not in name
        assert not weight.equal(state[f"body.{name}"])
    attention(vectors).square().sum().backward()
    assert all(parameter.grad is not None for parameter in attention.body.parameters())


def test_short_and_long_sequences_take_different_ways_to_the_same_attention(tiny, vectors, monkeypatch):
    backbone = build(tiny).eval()
    with torch.no_grad():
        short, short_attention = backbone.forward_with_attention(vectors)
        monkeypatch.setattr(model, "EAGER_TOKENS", 6)
        long, long_attention = backbone.forward_with_attention(vectors)
    assert not short.equal(long)
    torch.testing.assert_close(short, long, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close([*short_attention], [*long_attention], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("body", ["language_model", "attention", "none"])
def test_a_text_goes_on_as_if_it_had_been_given_whole(tiny, vectors, body):
    backbone = build(tiny, body=body).eval()
    whole = backbone(vectors)
    first, memory = backbone.forward_on(vectors[:, :4])
    second, memory = backbone.forward_on(vectors[:, 4:5], memory)
    rest, _ = backbone.forward_on(vectors[:, 5:], memory)
    torch.testing.assert_close(torch.cat([first, second, rest], 1), whole, atol=1e-5, rtol=1e-5)


def test_a_text_that_goes_on_ends_where_the_model_has_no_more_positions(tiny):
    backbone = build(tiny)
    with torch.no_grad():
        _, memory = backbone.forward_on(torch.zeros(1, 64, 48))
    with pytest.raises(ValueError, match=r"at most 64 tokens \(given 65\)"):
        backbone.forward_on(torch.zeros(1, 1, 48), memory)


def test_wrong_inputs_are_named(tiny, vectors):
    backbone = build(tiny)
    with pytest.raises(ValueError, match=r"vectors \[batch, token, 48\] needed \(given \[5, 7, 47\]\)"):
        backbone(vectors[..., 1:])
    with pytest.raises(ValueError, match=r"at most 64 tokens \(given 65\)"):
        backbone(torch.zeros(1, 65, 48))


def test_a_checkpoint_of_a_block_on_it_holds_what_was_trained_alone(tiny):
    from linksim.blocks.prediction.learned import LearnedPredictor

    class Block(LearnedPredictor):
        def prepare(self, shape):
            self.backbone = build(tiny)

        def predict(self, history, time_s, frequency_hz):
            raise NotImplementedError

    block = Block()
    block.prepare(None)
    assert {*block.saved_state()} == {name for name, _ in block.named_parameters() if ".lora_" in name}
