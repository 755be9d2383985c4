"""What of a language model is trained: nothing, low-rank additions, normalisations and positions, or all."""

from __future__ import annotations

import math

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from linksim.backbone.architectures import ARCHITECTURES
from linksim.backbone.choice import BackboneChoice
from linksim.core import seeding
from linksim.core.errors import ScenarioError
from linksim.core.faults import suggestion


def adapt(body: PreTrainedModel, choice: BackboneChoice) -> None:
    """Mark the trained parameters; with "lora", add them.

    :raises ScenarioError: a LoRA target that the model has not.
    """
    trained_names = ARCHITECTURES[body.config.model_type].norm_and_position
    for name, parameter in body.named_parameters():
        parameter.requires_grad_(choice.body == "attention" or choice.adaptation == "full" or (
            choice.adaptation == "norms" and any(part in name for part in trained_names)))
    if choice.body == "language_model" and choice.adaptation == "lora":
        _add_low_rank(body, choice)


def _add_low_rank(body: PreTrainedModel, choice: BackboneChoice) -> None:
    """LoRA (Hu et al. 2021): W x + (alpha / rank) B A x, with B zero at first, so that nothing changes."""
    from peft import LoraConfig, inject_adapter_in_model  # start-up

    architecture = ARCHITECTURES[body.config.model_type]
    linear_maps = {name.rpartition(".")[2]: None for name, module in body.named_modules()
                   if isinstance(module, torch.nn.Linear | Conv1D)}
    targets = choice.lora_targets or architecture.linear_maps
    for target in targets:
        if target not in linear_maps:
            raise ScenarioError(f"backbone {choice.backbone!r}, option 'lora_targets': it has no linear map "
                                f"{target!r}: {suggestion(target, linear_maps)}")
    settings = LoraConfig(r=choice.lora_rank, lora_alpha=choice.lora_alpha, lora_dropout=choice.lora_dropout,
                          target_modules=list(targets), fan_in_fan_out=architecture.fan_in_fan_out)
    inject_adapter_in_model(settings, body, low_cpu_mem_usage=True)  # without values: peft's come from a shared stream
    for name, module in body.named_modules():
        if ".lora_" in name and isinstance(module, torch.nn.Linear):
            module.weight = torch.nn.Parameter(_first_value(name, module.weight.shape, choice.seed))


def _first_value(name: str, shape: torch.Size, seed: int) -> torch.Tensor:
    """A as torch initialises linear maps, B zero."""
    if ".lora_B." in name:
        return torch.zeros(shape)
    stream = seeding.generator(seeding.stream_seed(seed, "lora", name))
    return torch.nn.init.kaiming_uniform_(torch.empty(shape), a=math.sqrt(5), generator=stream)
