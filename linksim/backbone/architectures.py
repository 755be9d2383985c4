"""What differs between GPT-2 and Llama type models: sizes, names of modules, and how the last layer attends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import GPT2Config, GPT2Model, LlamaConfig, LlamaModel, PretrainedConfig, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

_TYPES = {"gpt2": GPT2Config, "llama": LlamaConfig}

SIZES: dict[str, PretrainedConfig] = {
    name: _TYPES[sizes["model_type"]](**{key: value for key, value in sizes.items() if key != "model_type"})
    for name, sizes in json.loads(Path(__file__).with_name("sizes.json").read_text(encoding="utf-8")).items()
}
"""Models whose sizes are known without a file. Their names mean these models, never a folder of that name."""


class LastAttention(NamedTuple):
    """What the last layer compares and mixes, heads side by side: each ``[batch, token, num_heads * head_dim]``."""

    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor


@dataclass(frozen=True)
class Architecture:
    """How to handle the models of one of transformers' classes.

    :param layers: name of the list of layers.
    :param linear_maps: those that make queries, keys and values: LoRA's default targets.
    :param fan_in_fan_out: their weights are stored as [input, output].
    :param norm_and_position: what marks the names of normalisations and position vectors.
    :param dropouts: fields of the configuration.
    :param mlp_norm: the normalisation in front of a layer's MLP.
    :param last_attention: from the whole model and its last layer's input, ``[batch, token, width]``.
    """

    model: type[PreTrainedModel]
    layers: str
    linear_maps: tuple[str, ...]
    fan_in_fan_out: bool
    norm_and_position: tuple[str, ...]
    dropouts: tuple[str, ...]
    mlp_norm: str
    last_attention: Callable[[PreTrainedModel, torch.Tensor], LastAttention]


def _gpt2_last_attention(body: PreTrainedModel, x: torch.Tensor) -> LastAttention:
    layer = body.h[-1]
    return LastAttention(*layer.attn.c_attn(layer.ln_1(x)).chunk(3, -1))


def _llama_last_attention(body: PreTrainedModel, x: torch.Tensor) -> LastAttention:
    layer = body.layers[-1]
    attention, normalized = layer.self_attn, layer.input_layernorm(x)
    queries, keys, values = (
        linear(normalized).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj))
    positions = torch.arange(x.shape[1], device=x.device)[None]
    queries, keys = apply_rotary_pos_emb(queries, keys, *body.rotary_emb(x, positions))
    keys, values = (heads.repeat_interleave(attention.num_key_value_groups, 1) for heads in (keys, values))
    return LastAttention(*(heads.transpose(1, 2).flatten(-2) for heads in (queries, keys, values)))


ARCHITECTURES = {
    "gpt2": Architecture(
        GPT2Model, layers="h", linear_maps=("c_attn",), fan_in_fan_out=True, norm_and_position=("ln_", "wpe"),
        dropouts=("resid_pdrop", "embd_pdrop", "attn_pdrop"), mlp_norm="ln_2", last_attention=_gpt2_last_attention),
    "llama": Architecture(
        LlamaModel, layers="layers", linear_maps=("q_proj", "k_proj", "v_proj"), fan_in_fan_out=False,
        norm_and_position=("norm",), dropouts=("attention_dropout",), mlp_norm="post_attention_layernorm",
        last_attention=_llama_last_attention),
}
"""By transformers' ``model_type``."""


class NoMlp(torch.nn.Module):
    """Adds nothing where a layer adds its MLP's output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


def empty_body(config: PretrainedConfig, with_mlp: bool = True) -> PreTrainedModel:
    """The model of a configuration, without word embeddings and without memory for its parameters yet."""
    architecture = ARCHITECTURES[config.model_type]
    with torch.device("meta"):
        body = architecture.model(config)
    body.set_input_embeddings(None)
    if config.model_type == "llama":
        body.rotary_emb = LlamaRotaryEmbedding(config)  # computed, not learned: it needs its memory now
    if not with_mlp:
        for layer in getattr(body, architecture.layers):
            layer.mlp = NoMlp()
            setattr(layer, architecture.mlp_norm, torch.nn.Identity())
    return body
