"""Models of other people: a folder or the hub's cache, loaded exactly or refused in one line."""

from __future__ import annotations

import json
import shutil

import pytest
import safetensors.torch
import torch

from linksim.backbone import BackboneChoice, build_backbone
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
