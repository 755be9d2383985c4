"""Text as a language model reads it."""

from __future__ import annotations

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from linksim.backbone.packaged import packaged_file
from linksim.core.errors import LinksimError
from linksim.core.files import cache_folder

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
        file = packaged_file()  # says what is missing, and whether it is the right file
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)
