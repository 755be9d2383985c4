"""Weights as before any training, each parameter from a random stream of its own."""

from __future__ import annotations

import torch
from transformers import PretrainedConfig, PreTrainedModel

from linksim.core import seeding


def random_words(config: PretrainedConfig, seed: int) -> torch.Tensor:
    """Word embeddings, normal: ``[vocabulary, width]``."""
    return _normal("words", (config.vocab_size, config.hidden_size), config.initializer_range, seed)


def randomize(body: PreTrainedModel, seed: int) -> None:
    """Give every parameter the distribution it has before pretraining.

    Linear maps and position vectors are normal, biases zero, normalisations one. GPT-2's maps into the residual
    stream are smaller by the root of their number (Radford et al. 2019, Section 2.3).
    """
    state = {}
    for name, parameter in body.named_parameters():
        if parameter.dim() == 1:
            state[name] = torch.full(parameter.shape, float(name.endswith("weight")))
            continue
        deviation = body.config.initializer_range
        if body.config.model_type == "gpt2" and name.endswith("c_proj.weight"):
            deviation /= (2 * body.config.num_hidden_layers) ** 0.5
        state[name] = _normal(name, parameter.shape, deviation, seed)
    body.load_state_dict(state, assign=True)


def _normal(name: str, shape: tuple[int, ...], deviation: float, seed: int) -> torch.Tensor:
    stream = seeding.generator(seeding.stream_seed(seed, "backbone", name))
    return torch.empty(shape).normal_(0, deviation, generator=stream)
