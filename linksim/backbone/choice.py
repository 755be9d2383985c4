"""Which language model a block stands on, what of it is trained, and what it has: layers, words, positions, heads."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from linksim.core.errors import ScenarioError
from linksim.core.messages import suggestion
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


INSTEAD = "give a folder with config.json and model.safetensors, or choose 'smollm2', which is installed"
_KNOWN = Path(__file__).with_name("sizes.json")


@dataclass(frozen=True)
class BackboneSizes:
    """Sizes of a language model.

    :param width: of a token's vector.
    :param key_width: of all keys together, and of all values.
    :param mlp_width: between the layers of an MLP; ``mlp_maps`` linear maps lead there and back.
    :param max_tokens: as many as it has positions for.
    """

    width: int
    num_layers: int
    key_width: int
    mlp_width: int
    mlp_maps: int
    num_words: int
    max_tokens: int

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer, without biases and norms."""
        return 2 * self.width * (self.width + self.key_width) + self.mlp_maps * self.width * self.mlp_width


@functools.cache
def _known() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(_KNOWN.read_text(encoding="utf-8"))
    return known


@functools.cache
def sizes_of(name: str) -> BackboneSizes | None:
    """Sizes of a model that linksim knows or whose folder is here; None where only the hub could tell.

    :raises ScenarioError: a folder without a readable configuration of a known type, or neither a folder nor a name
        that the hub could have.
    """
    if name in _known():
        return _sizes(_known()[name])
    folder = Path(name).expanduser()
    if not folder.is_dir():
        check_hub_name(name)
        return None
    try:
        return _sizes(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScenarioError(f"backbone {name!r}: its config.json cannot be used ({type(error).__name__}: "
                            f"{error}): a GPT-2 or Llama type model is needed") from None


def assumed_sizes(name: str) -> BackboneSizes:
    """Sizes of a model, see `sizes_of`; those of a large one where only the hub could tell."""
    return sizes_of(name) or _sizes(_known()["gpt2-large"])


def check_hub_name(name: str) -> None:
    """:raises ScenarioError: no model of the Hugging Face hub can be called that."""
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        near = INSTEAD if "/" in name else suggestion(name, _known())
        raise ScenarioError(f"backbone {name!r}: no such folder, and no name on the Hugging Face hub (owner/model); "
                            f"{near}")


def _sizes(config: dict[str, Any]) -> BackboneSizes:
    if config["model_type"] == "gpt2":
        width = config.get("n_embd", 768)
        return BackboneSizes(width, config.get("n_layer", 12), width, config.get("n_inner") or 4 * width, 2,
                             config.get("vocab_size", 50257), config.get("n_positions", 1024))
    if config["model_type"] != "llama":
        raise ValueError(f"model_type {config['model_type']!r}")
    width, heads = config["hidden_size"], config["num_attention_heads"]
    head_width = config.get("head_dim") or width // heads
    return BackboneSizes(width, config["num_hidden_layers"], head_width * (config.get("num_key_value_heads") or heads),
                         config["intermediate_size"], 3, config["vocab_size"], config["max_position_embeddings"])


def check_layers(options: dict[str, Any]) -> BackboneSizes | None:
    """The model has as many layers as are used.

    :param options: of a block, with ``backbone``, ``num_layers`` and ``body``.
    :returns: its sizes, where they are known.
    :raises ScenarioError: it has fewer, or there is no such model.
    """
    sizes = sizes_of(options["backbone"])
    if sizes is not None and options["num_layers"] > sizes.num_layers:
        raise ScenarioError(f"backbone {options['backbone']!r} has {sizes.num_layers} layers, but num_layers is "
                            f"{options['num_layers']}")
    return sizes


def check_tokens(sizes: BackboneSizes | None, options: dict[str, Any], num_tokens: int, what: str) -> None:
    """:param what: the tokens are, and how to have fewer.

    :raises ScenarioError: more tokens than the model has positions for.
    """
    if sizes is not None and options["body"] != "none" and num_tokens > sizes.max_tokens:
        raise ScenarioError(f"backbone {options['backbone']!r} takes {sizes.max_tokens} tokens, but here are "
                            f"{num_tokens}: {what}")


def check_words(sizes: BackboneSizes | None, num_words: int) -> None:
    """:raises ScenarioError: more principal words than embeddings have."""
    if sizes is not None and num_words >= sizes.width:
        raise ScenarioError(f"num_words: {sizes.width - 1} principal words can be had of embeddings that are "
                            f"{sizes.width} wide (given {num_words})")


def check_heads(width: int, num_heads: int, of: str = "width") -> None:
    """:raises ScenarioError: heads that do not divide the width."""
    if width % num_heads:
        raise ScenarioError(f"num_heads: {num_heads} heads do not divide {of} {width}")
