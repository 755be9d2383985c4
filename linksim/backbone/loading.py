"""Where words and layers come from: the package, files, or random streams."""

from __future__ import annotations

import copy

import torch
from transformers import PretrainedConfig, PreTrainedModel

from linksim.backbone.architectures import ARCHITECTURES, SIZES, empty_body
from linksim.backbone.choice import BackboneChoice
from linksim.backbone.files import packaged_model, read_configuration, read_model
from linksim.core import seeding
from linksim.core.errors import ScenarioError


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


def load(choice: BackboneChoice) -> tuple[torch.Tensor, PreTrainedModel]:
    """Word embeddings ``[vocabulary, width]``, and the layers with the final normalisation, nothing trained yet.

    :raises LinksimError: the model is not to be had, or of another architecture.
    :raises ScenarioError: it has fewer layers.
    """
    config = configuration(choice)
    if choice.weights == "random":
        words, body = random_words(config, choice.seed), empty_body(config)
        randomize(body, choice.seed)
    elif choice.backbone == "smollm2":
        words, state = packaged_model(config.num_hidden_layers)
        body = empty_body(config)
        body.load_state_dict(state, assign=True)
    else:
        body = read_model(choice.backbone, config)
        words = body.get_input_embeddings().weight.detach()
        body.set_input_embeddings(None)
    if choice.body == "attention":
        body = empty_body(config, with_mlp=False)
        randomize(body, choice.seed)
    return words, body


def configuration(choice: BackboneChoice) -> PretrainedConfig:
    """Configuration of the layers that are used."""
    known = choice.backbone in SIZES
    config = copy.deepcopy(SIZES[choice.backbone]) if known else read_configuration(choice.backbone)
    if choice.num_layers > config.num_hidden_layers:
        raise ScenarioError(f"backbone {choice.backbone!r}, option 'num_layers': it has {config.num_hidden_layers} "
                            f"layers (given {choice.num_layers})")
    config.num_hidden_layers = choice.num_layers if choice.body == "language_model" else 1
    for field in ARCHITECTURES[config.model_type].dropouts:
        setattr(config, field, choice.dropout)
    return config
