"""The first layers of a pretrained language model between vectors as wide as its word embeddings."""

from __future__ import annotations

import copy
import functools
import hashlib
import math

import torch
from transformers import Cache, PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from linksim.backbone.architectures import ARCHITECTURES, SIZES, LastAttention, empty_body
from linksim.backbone.choice import BackboneChoice
from linksim.backbone.files import packaged_model, read_configuration, read_model
from linksim.core import seeding
from linksim.core.cache import cached_tensors
from linksim.core.errors import ScenarioError
from linksim.core.messages import suggestion


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


def shuffled(words: torch.Tensor, seed: int) -> torch.Tensor:
    """The entries of each word permuted, every word in its own way.

    Each word keeps its length, mean and values; which entry stands for what, and so every direction and similarity
    between words, is lost.

    :param words: ``[vocabulary, width]``.
    :returns: likewise.
    """
    stream = seeding.generator(seeding.stream_seed(seed, "shuffled words"))
    order = torch.rand(words.shape, generator=stream).argsort(-1)
    return words.gather(-1, order.to(words.device))


def principal_words(words: torch.Tensor, count: int) -> torch.Tensor:
    r"""PCA along the vocabulary dimension: few linear combinations of the words that carry most of their variance.

    Every entry of the embedding is one observation of as many variables as there are words (CSI-ALM eq. (14), as
    ``PCA(count).fit_transform(words.T).T`` of scikit-learn). With :math:`\mathbf D_c` the words less their own means
    and :math:`\mathbf D_c^T \mathbf D_c = \sum_i s_i^2 \mathbf u_i \mathbf u_i^T`, the rows are
    :math:`s_i \mathbf u_i^T`: orthogonal, strongest first. All are scaled by one factor, so that their root mean
    square is that of the words, and the largest entry of each is positive. The first is much the strongest: it is
    what all words have in common.

    They are kept in the cache. On another machine near-equal components may come out otherwise: a block that was
    trained with them saves them with its weights.

    :param words: ``[vocabulary, width]``.
    :param count: at most ``width - 1``.
    :returns: ``[count, width]``, float32.
    :raises ScenarioError: more components than there are.
    """
    if not 1 <= count < words.shape[1]:
        raise ScenarioError(f"principal words: 1 to {words.shape[1] - 1} can be had of embeddings that are "
                            f"{words.shape[1]} wide (given {count})")
    on_cpu = words.detach().float().cpu().contiguous()
    digest = hashlib.sha256(on_cpu.numpy()).hexdigest()[:24]
    components = cached_tensors(f"principal_words-1/{digest}.safetensors",
                                lambda: {"components": _components(on_cpu)})["components"][:count]
    scale = on_cpu.square().mean().sqrt() / components.square().mean().sqrt()
    return (scale * components).to(words.device)


def _components(words: torch.Tensor) -> torch.Tensor:
    """All of them, ``[width - 1, width]``, unscaled."""
    gram = torch.zeros(words.shape[1], words.shape[1], dtype=torch.float64)
    for part in words.split(8192):  # in double precision, a part at a time for memory
        centred = part.double() - part.double().mean(-1, keepdim=True)
        gram += centred.mT @ centred
    squares, vectors = torch.linalg.eigh(gram)  # in rising order; the smallest is the mean that was taken off
    rows = (squares.clamp_min(0).sqrt() * vectors).mT.flip(0)[:-1]
    largest = rows.gather(-1, rows.abs().argmax(-1, keepdim=True))
    return (rows * largest.sign()).float()


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


EAGER_TOKENS = 192
"""With so few tokens, attention by plain matrix products takes a quarter less time to train on a CPU than torch's fused
one, whose backward pass there is made for long texts."""


class Backbone(torch.nn.Module):
    """A language model without words at either end: vectors in, hidden states out, each token seeing those before it.

    Parameters that are not trained, the word embeddings among them, do not require gradients; gradients pass through
    them to the input all the same.

    :param words: word embeddings, ``[vocabulary, width]``.
    :param body: layers and final normalisation; None passes the input on.
    :param max_tokens: as many as the model has positions for.
    """

    def __init__(self, words: torch.Tensor, body: PreTrainedModel | None, max_tokens: int | None = None) -> None:
        super().__init__()
        self.words = torch.nn.Parameter(words, requires_grad=False)
        self.body = body
        self.max_tokens = max_tokens

    @property
    def width(self) -> int:
        """Entries of a token's vector."""
        return self.words.shape[1]

    @functools.cached_property
    def embedding_std(self) -> float:
        """Standard deviation of the entries of the word embeddings: what the layers are used to as input."""
        return float(self.words.std())

    def word_embeddings(self) -> torch.Tensor:
        """The dictionary, ``[vocabulary, width]``."""
        return self.words.detach()

    def principal_words(self, count: int) -> torch.Tensor:
        """The dictionary reduced to ``[count, width]``; see `linksim.backbone.model.principal_words`."""
        return principal_words(self.words, count)

    def forward(self, inputs_embeds: torch.Tensor) -> torch.Tensor:
        """``[batch, token, width]`` to the last hidden state, likewise, after the final normalisation.

        :raises ValueError: another width, or more tokens than the model has positions for.
        """
        self._get_ready(inputs_embeds)
        if self.body is None:
            return inputs_embeds
        return self.body(inputs_embeds=inputs_embeds, use_cache=False).last_hidden_state

    def forward_on(self, inputs_embeds: torch.Tensor, memory: Cache | None = None
                   ) -> tuple[torch.Tensor, Cache | None]:
        """Like calling it with all that went before and these, but only these are computed: a text goes on.

        :param memory: what the call before returned, which is used up by this one; None at a text's beginning.
        :returns: hidden states of the new tokens, and the memory for the next call.
        :raises ValueError: as `forward`.
        """
        self._get_ready(inputs_embeds, 0 if memory is None else memory.get_seq_length())
        if self.body is None:
            return inputs_embeds, None
        output = self.body(inputs_embeds=inputs_embeds, past_key_values=memory, use_cache=True)
        return output.last_hidden_state, output.past_key_values

    def forward_with_attention(self, inputs_embeds: torch.Tensor) -> tuple[torch.Tensor, LastAttention]:
        """Like calling it, and with what the last layer's attention works on, for distillation.

        Queries and keys are those that the layer multiplies, after rotary positions, and keys and values that several
        heads share are repeated for each; then with as many relation heads as heads the query-key relation is the
        layer's attention (CSI-ALM, Section IV-A). They are computed a second time from the last layer's input, LoRA
        included, so nothing is held back in the model between calls.

        :raises ValueError: as `forward`, or no attention here (body "none").
        """
        self._get_ready(inputs_embeds)
        if self.body is None:
            raise ValueError("backbone with body 'none': it has no attention; choose 'language_model' or 'attention'")
        output = self.body(inputs_embeds=inputs_embeds, use_cache=False, output_hidden_states=True)
        attention = ARCHITECTURES[self.body.config.model_type].last_attention
        return output.last_hidden_state, attention(self.body, output.hidden_states[-2])

    def _get_ready(self, inputs_embeds: torch.Tensor, num_before: int = 0) -> None:
        if inputs_embeds.dim() != 3 or inputs_embeds.shape[2] != self.width:
            raise ValueError(f"backbone: vectors [batch, token, {self.width}] needed "
                             f"(given {list(inputs_embeds.shape)})")
        num_tokens = num_before + inputs_embeds.shape[1]
        if self.max_tokens is not None and num_tokens > self.max_tokens:
            raise ValueError(f"backbone: at most {self.max_tokens} tokens (given {num_tokens})")
        if self.body is not None:
            short = inputs_embeds.device.type == "cpu" and num_tokens <= EAGER_TOKENS
            if self.body.config._attn_implementation != (chosen := "eager" if short else "sdpa"):
                self.body.set_attn_implementation(chosen)


def build_backbone(choice: BackboneChoice) -> Backbone:
    """The backbone of these options, on the CPU.

    The first use of packaged weights and of principal words takes some seconds, later ones read them from the cache
    (``LINKSIM_CACHE``). Two calls with the same choice give the same parameters.

    :raises LinksimError: the model is not to be had; says what was tried.
    :raises ScenarioError: the model does not have what the options ask for.
    """
    words, body = load(choice)
    if choice.words == "shuffled":
        words = shuffled(words, choice.seed)
    if choice.body == "none":
        return Backbone(words, None)
    adapt(body, choice)
    return Backbone(words, body.train(), body.config.max_position_embeddings)
