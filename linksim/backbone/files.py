"""Language models out of a local folder or from the Hugging Face hub: safetensors alone, and no code of theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import torch
import transformers
from huggingface_hub import errors as hub_errors
from transformers import PretrainedConfig, PreTrainedModel

from linksim.backbone.architectures import ARCHITECTURES
from linksim.backbone.requirements import INSTEAD, check_hub_name
from linksim.core.errors import LinksimError

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
