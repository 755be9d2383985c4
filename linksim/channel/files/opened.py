"""Open the files a scenario names: which importer, one reader per file and process, the file's digest."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from pathlib import Path

from linksim.channel.files.arrays import open_arrays
from linksim.channel.files.cir import open_cir
from linksim.channel.files.cost2100 import open_cost2100
from linksim.channel.files.deepmimo import open_deepmimo
from linksim.channel.files.linksim_layout import HEADER, open_linksim
from linksim.channel.files.llm4cp import open_llm4cp, variable_files
from linksim.channel.files.reader import Reader, fault
from linksim.scenario.channel import ChannelFiles

_SIGNS = {HEADER: "linksim", "HT": "cost2100", "HF_all": "cost2100", "a": "cir", "channel": "deepmimo"}
"""The array that gives a format away."""

_KEPT = 4
_readers: OrderedDict[tuple[object, ...], Reader] = OrderedDict()
_digests: dict[tuple[object, ...], str] = {}


def open_channel_files(files: ChannelFiles, training: bool = False) -> Reader:
    """The reader of ``files.path``, or of ``files.training_path``; kept open, and opened anew once the file changes.

    :raises ScenarioError: missing, unknown, damaged, or of another format.
    """
    path = Path(files.training_path if training else files.path)
    key = (training, _state(path, training), files.format, files.speeds_kmh, files.direction, files.tones,
           files.spatial_domain)
    if key not in _readers:
        _readers[key] = _open(path, files, training)
        while len(_readers) > _KEPT:
            _readers.popitem(last=False)
    _readers.move_to_end(key)
    return _readers[key]


def digest(path: Path, training: bool = False) -> str:
    """SHA-256 of a file, or of the files of a folder's split.

    The manifest beside a file that ``linksim dataset`` wrote is believed while size and time of the file are those
    noted there; other files are read once per process.

    :raises ScenarioError: no such file.
    """
    state = _state(path, training)
    if state not in _digests:
        if path.is_dir():
            parts = [f"{file.name} {digest(file)}" for file in variable_files(path, training)]
            _digests[state] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        else:
            _digests[state] = _noted_digest(path) or file_digest(path)
    return _digests[state]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_path(path: Path) -> Path:
    """Where ``linksim dataset`` writes the manifest of a file."""
    return path.with_name(f"{path.name}.manifest.json")


def _noted_digest(path: Path) -> str | None:
    try:
        noted = json.loads(manifest_path(path).read_text(encoding="utf-8"))["file"]
        stat = path.stat()
        return noted["sha256"] if (noted["size"], noted["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _state(path: Path, training: bool) -> tuple[object, ...]:
    """What changes when the file does."""
    try:
        files = variable_files(path, training) if path.is_dir() else [path]
        return (str(path), *((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files))
    except FileNotFoundError:
        raise fault(path, "no such file or folder") from None
    except OSError as error:
        raise fault(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from None


def _open(path: Path, files: ChannelFiles, training: bool) -> Reader:
    match files.format if files.format != "auto" else _recognized(path):
        case "linksim":
            return open_linksim(path)
        case "llm4cp":
            return open_llm4cp(path, files.speeds_kmh, training)
        case "cost2100":
            return open_cost2100(path, files.tones, files.spatial_domain)
        case "deepmimo":
            return open_deepmimo(path)
        case _:
            return open_cir(path, files.direction)


def _recognized(path: Path) -> str:
    if path.is_dir():
        return "llm4cp"
    arrays = open_arrays(path)
    for sign, name in _SIGNS.items():
        if sign in arrays.names:
            return name
    raise fault(path, f"holds {arrays.listed()}: none of the formats of channel.files.format")
