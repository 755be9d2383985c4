"""A causal language model that answers prompts: SmolLM2 out of its package, or any on the hub or in a folder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from linksim.backbone.architectures import SIZES
from linksim.backbone.files import packaged_model, tokenizer
from linksim.core.errors import LinksimError


class TextGenerator:
    """Temperature sampling from a chat model.

    :param name: "smollm2", or a chat model's name on the hub or folder.
    :raises LinksimError: the model is not to be had.

    Source: SC-LMKB, Section III-B 1), eq. (16) and the softened distribution after it.
    """

    def __init__(self, name: str = "smollm2") -> None:
        if name == "smollm2":
            self.model, self.tokenizer = _packaged()
        else:
            try:
                self.model = AutoModelForCausalLM.from_pretrained(name)
                self.tokenizer = AutoTokenizer.from_pretrained(name)
            except (OSError, ValueError) as error:
                raise LinksimError(f"language model {name!r}: {' '.join(str(error).split())[:160]}") from None
        self.model.to(torch.bfloat16).eval()  # half the time; it was trained so
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.tokenizer.padding_side = "left"

    @torch.inference_mode()
    def answers(self, prompts: Sequence[list[dict[str, str]]], temperature: float, top_p: float, max_tokens: int,
                seed: int) -> list[str]:
        """One answer to each prompt.

        :param temperature: of the softmax; ``top_p``: share of the probability that is sampled from.
        :param seed: of the sampling; the answers of a batch depend on its other prompts.
        """
        texts = [self.tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
                 for prompt in prompts]
        batch = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            output = self.model.generate(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], do_sample=True,
                temperature=temperature, top_p=top_p, top_k=0, max_new_tokens=max_tokens,
                pad_token_id=self.tokenizer.pad_token_id)
        return self.tokenizer.batch_decode(output[:, batch["input_ids"].shape[1]:], skip_special_tokens=True)


def _packaged() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """SmolLM2-135M-Instruct, whole, with tied word embeddings."""
    config = SIZES["smollm2"]
    words, state = packaged_model(config.num_hidden_layers)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    whole = {f"model.{name}": tensor for name, tensor in state.items()}
    model.load_state_dict({**whole, "model.embed_tokens.weight": words, "lm_head.weight": words}, assign=True,
                          strict=False)
    rotary = type(model.model.rotary_emb)(config)
    model.model.rotary_emb = rotary
    return model, tokenizer()
