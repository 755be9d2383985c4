"""Which language model a block stands on, and what of it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from linksim.core.options import Only
from linksim.core.types import PositiveFloat, PositiveInt

Dropped = Annotated[float, pydantic.Field(ge=0, lt=1)]


class BackboneChoice(pydantic.BaseModel, frozen=True, extra="forbid"):
    """A language model, how much of it, and what of it is trained.

    :param backbone: the language model: "smollm2" (SmolLM2-135M, installed with linksim), "gpt2", "gpt2-medium",
        "gpt2-large" or any other GPT-2 or Llama type model: a name on the Hugging Face hub, or a local folder.
    :param num_layers: of the model's layers, the first this many.
    :param weights: "pretrained"; or "random", a control: the same architecture, initialised as for training from
        scratch, its word embeddings too.
    :param adaptation: what is trained. "frozen": nothing; "lora": low-rank additions to some of its linear maps;
        "norms": normalisations and position vectors (LLM4CP); "full": all. Never the word embeddings.
    :param body: "language_model"; or a control in its place: "attention", its first layer without the MLP, from
        random weights and trained in full whatever ``adaptation`` says; "none", which passes its input on.
    :param words: what the block sees of the model's words: its "dictionary"; or "shuffled", a control: the
        entries of each word are permuted, every word in its own way, so that words keep their lengths and values but
        no direction, and no similarity between two of them, is left.
    :param lora_rank: of the additions.
    :param lora_alpha: they are weighed by ``lora_alpha / lora_rank``.
    :param lora_dropout: share of their inputs dropped in training.
    :param lora_targets: names of linear maps; if empty, those that make queries, keys and values.
    :param dropout: of the language model itself in training. GPT-2 was pretrained with 0.1, Llama types without.
    :param seed: of everything random: weights, additions, shuffled words.
    """

    backbone: str = "smollm2"
    num_layers: PositiveInt = 6
    weights: Literal["pretrained", "random"] = "pretrained"
    adaptation: Literal["frozen", "lora", "norms", "full"] = "lora"
    body: Literal["language_model", "attention", "none"] = "language_model"
    words: Literal["dictionary", "shuffled"] = "dictionary"
    lora_rank: PositiveInt = 8
    lora_alpha: PositiveFloat = 16.0
    lora_dropout: Dropped = 0.0
    lora_targets: tuple[str, ...] = ()
    dropout: Dropped = 0.0
    seed: int = 0


LanguageModel = Annotated[
    BackboneChoice, Only("backbone", "num_layers", "weights", "adaptation", "body", "lora_rank")]
"""What scenario files say of it in most blocks."""

LanguageModelAndWords = Annotated[
    BackboneChoice, Only("backbone", "num_layers", "weights", "adaptation", "body", "words", "lora_rank")]
"""And in those that see its words."""
