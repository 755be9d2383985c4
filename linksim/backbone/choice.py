"""Which language model a block stands on, and what of it is trained."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

from linksim.core.errors import ScenarioError
from linksim.core.faults import suggestion


@dataclass(frozen=True)
class BackboneChoice:
    """Options of a backbone, as a block takes them from a scenario file.

    :param name: "smollm2" (SmolLM2-135M, installed with linksim), "gpt2", "gpt2-medium", "gpt2-large" or any other
        GPT-2 or Llama type model: a name on the Hugging Face hub, or a local folder.
    :param num_layers: of the model's layers, the first this many.
    :param weights: "pretrained"; or "random", a control: the same architecture, initialised as for training from
        scratch, its word embeddings too.
    :param adaptation: what is trained. "frozen": nothing; "lora": low-rank additions to some of its linear maps;
        "norms": normalisations and position vectors (LLM4CP); "full": all. Never the word embeddings.
    :param body: "language_model"; or a control in its place: "attention", its first layer without the MLP, from
        random weights and trained in full whatever ``adaptation`` says; "none", which passes its input on.
    :param words: what `Backbone.word_embeddings` gives: the model's "dictionary"; or "shuffled", a control: the
        entries of each word are permuted, every word in its own way, so that words keep their lengths and values but
        no direction, and no similarity between two of them, is left.
    :param lora_rank: of the additions.
    :param lora_alpha: they are weighed by ``lora_alpha / lora_rank``.
    :param lora_dropout: share of their inputs dropped in training.
    :param lora_targets: names of linear maps; if empty, those that make queries, keys and values.
    :param dropout: of the language model itself in training. GPT-2 was pretrained with 0.1, Llama types without.
    :param seed: of everything random: weights, additions, shuffled words.
    :raises ScenarioError: an option that does not exist or is out of range.
    """

    name: str = "smollm2"
    num_layers: int = 6
    weights: Literal["pretrained", "random"] = "pretrained"
    adaptation: Literal["frozen", "lora", "norms", "full"] = "lora"
    body: Literal["language_model", "attention", "none"] = "language_model"
    words: Literal["dictionary", "shuffled"] = "dictionary"
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ()
    dropout: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "lora_targets", tuple(self.lora_targets))  # a scenario file gives a list
        hints = get_type_hints(BackboneChoice)
        for field in fields(self):
            value, allowed = getattr(self, field.name), get_args(hints[field.name])
            if field.type.startswith("Literal") and value not in allowed:
                raise ScenarioError(f"backbone, option {field.name!r}: unknown {value!r}: "
                                    + suggestion(str(value), allowed))
        for name in ("num_layers", "lora_rank"):
            if getattr(self, name) < 1:
                raise ScenarioError(f"backbone, option {name!r}: must be at least 1 (given {getattr(self, name)})")
        for name in ("lora_dropout", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ScenarioError(f"backbone, option {name!r}: must be at least 0 and below 1 "
                                    f"(given {getattr(self, name)})")
