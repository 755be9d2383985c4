"""Readers for data sets of the user's files: the folder, what is in it, and features of its files, kept in the cache.

The plugins in ``studies/data_sets`` are made of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from linksim.core.cache import cached_tensors
from linksim.core.errors import ScenarioError
from linksim.retrieval.log_mel import NUM_BANDS, SILENCE, fixed_frames, log_mel, read_audio
from linksim.retrieval.pictures import picture_features, read_picture


def folder_is_there(options: dict[str, Any], scenario: Any, method: Any) -> None:
    """What a data set with an option ``folder`` requires, see `linksim.core.registry.register`."""
    path = Path(options["folder"]).expanduser()
    if not path.is_dir():
        raise ScenarioError(f"folder: {path}: no such folder")


def open_folder(name: str, folder: str, expected: str) -> Path:
    """The folder that the user names.

    :param expected: what must be in it, in words.
    :raises ScenarioError: there is none.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ScenarioError(f"{name}: {path}: no such folder; expected one with {expected}")
    return path


def require_files(name: str, paths: Sequence[Path], expected: str) -> None:
    """Check that files are there.

    :raises ScenarioError: names the first that is missing, and how many are.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ScenarioError(f"{name}: {missing[0]}: no such file ({len(missing)} of {len(paths)} are missing); "
                            f"expected {expected}")


def read_records(name: str, path: Path, keys: Sequence[str]) -> list[dict[str, Any]]:
    """A JSON file that is a list of objects with certain keys.

    :raises ScenarioError: it is something else.
    """
    expected = f"a JSON list of objects with {', '.join(keys)} is expected"
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{name}: {path}: cannot be read ({error}); {expected}") from None
    if not isinstance(records, list) or not records:
        raise ScenarioError(f"{name}: {path}: {expected}")
    for number, record in enumerate(records):
        lacking = [key for key in keys if not isinstance(record, dict) or key not in record]
        if lacking:
            raise ScenarioError(f"{name}: {path}: entry {number} has no {lacking[0]!r}; {expected}")
    return records


def digest_of(paths: Sequence[Path], folder: Path) -> str:
    """Digest of names and sizes of files: what the data set's identity says of them."""
    listed = [[path.relative_to(folder).as_posix(), path.stat().st_size] for path in paths]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:24]


def file_digest(path: Path) -> str:
    """Digest of a small file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:24]


def picture_file_features(paths: Sequence[Path]) -> torch.Tensor:
    """``[picture, 1280]`` of picture files; made again for those that change.

    :raises ScenarioError: one cannot be read.
    """
    return picture_features(["files", _times(paths)], len(paths), lambda number: read_picture(paths[number]))


def audio_file_features(paths: Sequence[Path], num_frames: int, merged: int = 1) -> torch.Tensor:
    """``[file, frame, 64]`` log-mel frames of audio files, silence behind short ones, long ones cut.

    :param merged: 40 ms frames whose mean power is one frame.
    :raises LinksimError: one cannot be read.
    """
    recipe = json.dumps([_times(paths), num_frames, merged])
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:24]

    def made() -> dict[str, torch.Tensor]:
        features = torch.empty(len(paths), num_frames, NUM_BANDS)
        for row, path in zip(features, paths):
            frames = fixed_frames(log_mel(read_audio(path)), num_frames * merged, SILENCE)
            row.copy_(frames.unflatten(0, (num_frames, merged)).exp().mean(1).log())
        return {"features": features}

    return cached_tensors(f"audio-files-1/{digest}.safetensors", made)["features"]


def _times(paths: Sequence[Path]) -> list[tuple[str, int, int]]:
    """What tells a file from one that it was before, without reading it."""
    return [(str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path in paths if (stat := path.stat())]
