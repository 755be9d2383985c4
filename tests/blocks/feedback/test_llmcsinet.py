import json
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config

from linksim.backbone import Backbone, BackboneChoice, build_backbone
from linksim.backbone.architectures import SIZES, empty_body
from linksim.blocks.feedback.idasnet import PreliminaryDecoder
from linksim.blocks.feedback.llmcsinet import NUM_LAYERS, MaskedTokenPredictor
from linksim.blocks.feedback.networks.selection import SelfInformationEncoder, fill, select_strongest

TINY = {
    "gpt2": {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 11, "n_positions": 80},
    "llama": {"model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
              "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 11, "max_position_embeddings": 80},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Models that a `BackboneChoice` with random weights can name."""
    made = {}
    for name, sizes in TINY.items():
        made[name] = tmp_path_factory.mktemp(name)
        (made[name] / "config.json").write_text(json.dumps(sizes), encoding="utf-8")
    return made


@pytest.fixture(params=["gpt2", "llama"])
def tiny(request, folders):
    """A function that makes a backbone of two small layers."""

    def make(**options) -> Backbone:
        options = {"weights": "random", "adaptation": "full", "num_layers": 2, **options}
        return build_backbone(BackboneChoice(backbone=str(folders[request.param]), **options))

    return make


def predictor(backbone: Backbone, rows: int = 32, beams: int = 32, **options) -> MaskedTokenPredictor:
    """One whose last map is no longer zero."""
    torch.manual_seed(0)
    model = MaskedTokenPredictor(rows, beams, backbone, **options).eval()
    torch.nn.init.normal_(model.to_patches.weight, 0, 0.1)
    return model


def windows(count: int, rows: int = 32, beams: int = 32) -> torch.Tensor:
    return 0.1 * torch.randn(count, 2, rows, beams, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("size", "millions", "exact"),
                         [("S", 19.85, 19_849_794), ("M", 59.21, 59_204_674), ("L", 118.24, 118_236_994)])
def test_published_sizes_with_gpt2_large(size, millions, exact):
    config = GPT2Config(**{**SIZES["gpt2-large"].to_dict(), "n_layer": NUM_LAYERS[size]})
    with torch.device("meta"):
        backbone = Backbone(torch.empty(1, config.n_embd), empty_body(config), config.n_positions)
        model = torch.nn.ModuleList([PreliminaryDecoder(), MaskedTokenPredictor(32, 32, backbone)])
    counted = sum(parameter.numel() for parameter in model.parameters() if parameter is not backbone.words)
    assert counted == exact
    assert counted / 1e6 == pytest.approx(millions, rel=2e-4)


@pytest.mark.parametrize(("rows", "beams", "tokens"), [(32, 32, 64), (16, 32, 32), (32, 16, 32), (26, 32, 56),
                                                       (7, 9, 6)])
def test_windows_of_any_size_keep_their_shape(tiny, rows, beams, tokens):
    model = predictor(tiny(), rows, beams)
    assert model.positions.shape == (tokens, 16)
    assert model(windows(2, rows, beams)).shape == (2, 2, rows, beams)


def test_too_many_tokens_are_said(tiny):
    with pytest.raises(ValueError, match="choose a larger patch_size"):
        MaskedTokenPredictor(32, 32, tiny(), patch_size=2)


def test_the_second_stage_begins_where_the_first_ended(tiny):
    window = windows(2)
    assert torch.equal(MaskedTokenPredictor(32, 32, tiny())(window), window)
    assert not torch.allclose(MaskedTokenPredictor(32, 32, tiny(), residual=False)(window), window, atol=1e-2)


@pytest.mark.parametrize("options", [{}, {"attention": "full"}, {"residual": False}], ids=str)
def test_outputs_do_not_depend_on_batch_neighbours(tiny, options):
    model = predictor(tiny(), **options)
    window = windows(4)
    window[0] *= 1000
    with torch.no_grad():
        torch.testing.assert_close(model(window)[1:], torch.cat([model(one[None]) for one in window[1:]]),
                                   atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("residual", [True, False])
def test_scale_and_mean_of_a_window_are_undone(tiny, residual):
    model = predictor(tiny(), residual=residual)
    window = windows(2)
    with torch.no_grad():
        torch.testing.assert_close(model(3 * window + 0.2), 3 * model(window) + 0.2, atol=1e-4, rtol=1e-4)


def test_a_window_of_zeros_gives_finite_values_and_gradients(tiny):
    model = predictor(tiny())
    window = torch.zeros(2, 2, 32, 32, requires_grad=True)
    restored = model(window)
    restored.sum().backward()
    assert restored.isfinite().all()
    assert window.grad.isfinite().all()


def changed_patches(model: MaskedTokenPredictor, row: int, column: int) -> torch.Tensor:
    """Where a change of one patch of the normalised window is seen: bool, ``[row of patches, column]``."""
    normalized = windows(1)
    other = normalized.clone()
    other[:, :, 4 * row:4 * row + 4, 4 * column:4 * column + 4] += 1.0
    with torch.no_grad():
        hidden, after = (model._hidden(model._tokens(one))[0, 1:] for one in (normalized, other))
    return (hidden != after).any(-1).unflatten(0, model.grid)


@pytest.mark.parametrize("body", ["language_model", "attention"])
def test_causal_attention_looks_back_and_full_attention_everywhere(tiny, body):
    causal = changed_patches(predictor(tiny(body=body)), 3, 5)
    assert not causal.flatten()[:3 * 8 + 5].any()
    assert causal.flatten()[3 * 8 + 5:].all()
    assert changed_patches(predictor(tiny(body=body), attention="full"), 3, 5).all()


def test_without_a_body_a_patch_is_restored_from_itself(tiny):
    changed = changed_patches(predictor(tiny(body="none")), 3, 5)
    assert changed.nonzero().tolist() == [[3, 5]]


@pytest.mark.parametrize("attention", ["causal", "full"])
def test_every_patch_sees_the_class_token(tiny, attention):
    model = predictor(tiny(), attention=attention)
    tokens = model._tokens(windows(1))
    with torch.no_grad():
        before = model._hidden(tokens)[0, 1:]
        tokens[:, 0] += torch.randn(16)
        assert (before != model._hidden(tokens)[0, 1:]).any(-1).all()


def test_patches_return_to_their_places(tiny):
    """With tokens that hold their patches, what comes out is what went in."""
    model = predictor(tiny(body="none"), 26, 32, patch_size=2, residual=False)
    with torch.no_grad():
        model.positions.zero_()
        model.to_tokens.bias.zero_()
        model.to_tokens.weight.zero_()
        model.to_patches.weight.zero_()
        model.to_patches.bias.zero_()
        for entry in range(8):
            part, place = divmod(entry, 4)
            model.to_tokens.weight[entry, part, place // 2, place % 2] = 1.0
            model.to_patches.weight[entry, entry] = 1.0
        window = windows(2, 26, 32)
        torch.testing.assert_close(model(window), window, atol=1e-5, rtol=1e-4)


def test_position_vectors_of_gpt2_are_left_out(folders):
    backbone = build_backbone(BackboneChoice(backbone=str(folders["gpt2"]), weights="random", num_layers=2))
    model = predictor(backbone)
    assert not [name for name in model.state_dict() if "wpe" in name]
    tokens = torch.randn(1, 1, 16).expand(1, 5, 16)
    hidden = model._hidden(tokens)  # equal tokens are told apart by positions alone
    torch.testing.assert_close(hidden, hidden[:, :1].expand_as(hidden))


@pytest.mark.parametrize(("adaptation", "trained"), [("frozen", 0), ("lora", 4), ("full", None)])
def test_gradients_reach_what_is_trained_of_all_modules(folders, adaptation, trained):
    """From the window through selection, filling and both decoders."""
    torch.manual_seed(0)
    backbone = build_backbone(BackboneChoice(backbone=str(folders["gpt2"]), weights="random", num_layers=2,
                                             adaptation=adaptation))
    encoder, decoder, model = SelfInformationEncoder(), PreliminaryDecoder(), predictor(backbone, 16, 16).train()
    for name, parameter in backbone.named_parameters():
        if ".lora_B." in name:  # zero at first, and so is then the gradient of the other factor
            torch.nn.init.normal_(parameter)
    window = 5 * windows(3, 16, 16)
    filled = fill(*select_strongest(encoder(window), 60), window.mean((1, 2, 3)), 16, 16)
    (model(decoder(filled)) - window).square().sum().backward()
    for part in (encoder, decoder, model):
        for name, parameter in part.named_parameters():
            assert parameter.requires_grad == (parameter.grad is not None), name
            assert parameter.grad is None or parameter.grad.any(), name
    of_body = [parameter for parameter in backbone.body.parameters() if parameter.requires_grad]
    assert len(of_body) == (trained if trained is not None else len(list(backbone.body.parameters())))
    assert not backbone.words.requires_grad
