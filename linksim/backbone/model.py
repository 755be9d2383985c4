"""The first layers of a pretrained language model between vectors as wide as its word embeddings."""

from __future__ import annotations

import functools

import torch
from transformers import Cache, PreTrainedModel

from linksim.backbone.adaptation import adapt
from linksim.backbone.architectures import ARCHITECTURES, LastAttention
from linksim.backbone.choice import BackboneChoice
from linksim.backbone.loading import load
from linksim.backbone.words import principal_words, shuffled

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
        """The dictionary reduced to ``[count, width]``; see `linksim.backbone.words.principal_words`."""
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
