"""Language models of a few thousand parameters, saved as people get them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

WIDTH = 48


@pytest.fixture(scope="session")
def tiny_models():
    """A GPT-2 and a Llama with shared keys and values, three layers each, whose norms and biases are no ones and
    zeros; by name."""
    models = {
        "gpt2": GPT2LMHeadModel(GPT2Config(n_embd=WIDTH, n_layer=3, n_head=6, vocab_size=101, n_positions=64,
                                           bos_token_id=0, eos_token_id=0)),
        "llama": LlamaForCausalLM(LlamaConfig(vocab_size=101, hidden_size=WIDTH, intermediate_size=96,
                                              num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
                                              max_position_embeddings=64)),
    }
    stream = torch.Generator().manual_seed(0)
    for model in models.values():
        model.eval()
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=stream)
    return models


@pytest.fixture(scope="session")
def tiny_folders(tiny_models, tmp_path_factory) -> dict[str, Path]:
    """The same as folders with config.json and model.safetensors."""
    folders = {name: tmp_path_factory.mktemp(name) for name in tiny_models}
    for name, model in tiny_models.items():
        model.save_pretrained(folders[name])
    return folders


@pytest.fixture(params=["gpt2", "llama"])
def tiny(request, tiny_folders) -> str:
    """One of them, as `BackboneChoice` takes it."""
    return str(tiny_folders[request.param])


@pytest.fixture
def vectors() -> torch.Tensor:
    """Inputs for them: ``[batch, token, width]``."""
    return torch.randn(5, 7, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder for one test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LINKSIM_CACHE", str(folder))
    return folder
