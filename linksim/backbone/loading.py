"""Where words and layers come from: the package, files, or random streams."""

from __future__ import annotations

import copy

import torch
from transformers import PretrainedConfig, PreTrainedModel

from linksim.backbone.architectures import ARCHITECTURES, SIZES, empty_body
from linksim.backbone.choice import BackboneChoice
from linksim.backbone.files import read_configuration, read_model
from linksim.backbone.packaged import packaged_model
from linksim.backbone.random_weights import random_words, randomize
from linksim.core.errors import ScenarioError


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
