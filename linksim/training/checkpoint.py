"""Checkpoints of trained blocks: safetensors and JSON, named by all that they were trained on."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from rich.console import Console

from linksim.core.errors import LinksimError, ScenarioError, StoreError
from linksim.core.file_lock import held
from linksim.core.printing import say
from linksim.core.shipped import RELEASED
from linksim.scenario.resolved import ResolvedScenario
from linksim.scenario.schema import CHECKPOINT_WEIGHTS, Scenario
from linksim.training.identity import digest, malformed


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to; it becomes ``path`` at the end, so that a kill leaves the old file or the new one.

    :raises StoreError: the folder cannot be written.
    """
    waiting = path.with_name(f"{path.name}.tmp")
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield waiting
            os.replace(waiting, path)
        except BaseException:
            with contextlib.suppress(OSError):
                waiting.unlink(missing_ok=True)  # on a full disk, above all
            raise


LOCK = ".lock"
"""In a checkpoint's folder: held by the process that makes it."""


@contextlib.contextmanager
def making(folder: Path, console: Console) -> Iterator[bool]:
    """A checkpoint's folder for this process alone; waits for another one that trains there, saying so.

    :returns: whether the checkpoint has still to be made: another process may have done it meanwhile.
    :raises StoreError: it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(folder / LOCK, f"trains {folder}", partial(say, console)))
        yield not (folder / CHECKPOINT_WEIGHTS).is_file()


@contextlib.contextmanager
def writable(place: Path) -> Iterator[None]:
    """Faults of the disk as one line.

    :raises StoreError: full, read-only, or no folder.
    """
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"{place}: cannot write: {reason.lower()}; set training.folder") from None


_FULL = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS") if hasattr(errno, name)}


@contextlib.contextmanager
def with_room(folder: Path) -> Iterator[None]:
    """A disk that is full, or gone, as one line, wherever it is met; other faults as they are.

    :raises StoreError: a training's logs or state cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StoreError(f"{folder}: cannot write: {error.strerror.lower()}; make room and run the same command to go "
                         "on from what was kept last, or set training.folder") from None


LEARNING_CURVE = "learning_curve.csv"
"""Beside the weights: what `linksim.training.progress.write_curve` wrote."""

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
