"""Checkpoints of trained blocks: safetensors and JSON, named by all that they were trained on."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.shipped import RELEASED
from linksim.scenario.resolved import ResolvedScenario
from linksim.scenario.schema import CHECKPOINT_WEIGHTS, Scenario
from linksim.training.folder import written_whole
from linksim.training.identity import digest, malformed

_ABOUT = "about.json"
_DIGEST = "weights_sha256"


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by name.

    :raises LinksimError: there is none (a worker on a machine that does not share the folder), or it is damaged: not
        the bytes that ``about.json`` tells of, where it does.
    """
    path = folder / CHECKPOINT_WEIGHTS
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != _written_digest(folder, content):
            raise ValueError(f"other bytes than {_ABOUT} tells of")
        return safetensors.torch.load(content)
    except FileNotFoundError:
        raise LinksimError(f"{folder}: no checkpoint here; run `linksim train` where this folder is shared") from None
    except (OSError, safetensors.SafetensorError, LookupError, ValueError, TypeError, RuntimeError, MemoryError,
            OverflowError) as error:
        raise LinksimError(f"{path}: damaged ({error}); delete the folder and train again") from None


def _written_digest(folder: Path, content: bytes) -> str:
    """Digest of the weights, as ``about.json`` has it; that of the content itself where it has none (before 0.2)."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        if isinstance(about, dict) and _DIGEST in about:
            return about[_DIGEST]
    return hashlib.sha256(content).hexdigest()


def write_checkpoint(folder: Path, state: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    """Write a checkpoint; it counts once its weights are there, whole.

    :raises StoreError: the folder cannot be written.
    """
    content = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
    with written_whole(folder / _ABOUT) as waiting:
        about = {**about, _DIGEST: hashlib.sha256(content).hexdigest()}
        waiting.write_text(json.dumps(about, indent=1), encoding="utf-8")
    with written_whole(folder / CHECKPOINT_WEIGHTS) as waiting:
        waiting.write_bytes(content)


def found_checkpoint(scenario: Scenario | ResolvedScenario, about: dict[str, Any]) -> Path | None:
    """The folder of a matching checkpoint: one's own, else a released one."""
    for folder in (checkpoint_folder(scenario, about), RELEASED / _name(about)):
        if (folder / CHECKPOINT_WEIGHTS).is_file():
            return folder
    return None


def checkpoint_folder(scenario: Scenario | ResolvedScenario, about: dict[str, Any]) -> Path:
    """Where the checkpoint of this identity is, or would be, kept."""
    return Path(scenario.training.folder) / _name(about)


def shown(folder: Path) -> str:
    """How a checkpoint folder is written for people: relative where it lies in the working folder."""
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def _name(about: dict[str, Any]) -> str:
    return f"{about['block']}-{digest(about)}"


def read_about(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself.

    :raises ScenarioError: nothing that can be read as that.
    """
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        if fault := malformed(about):
            raise ValueError(fault)
        return about
    except (OSError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{folder / _ABOUT}: not what a checkpoint says of itself ({error}); name "
                            "another checkpoint, or train anew") from None
