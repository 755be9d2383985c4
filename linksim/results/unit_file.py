"""Unit files: the rows of one chunk of drops as Parquet, with the run they belong to and a digest of all of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pydantic

from linksim.core.errors import StoreError
from linksim.results.manifest import SCHEMA_VERSION

_NAME = re.compile(r"(?P<label>[0-9a-f]{10})-(?P<chunk>\d{6,})\.parquet")
_KEY = b"linksim"
_FIX = "delete it and run again"

UnitId = tuple[str, int]
"""(channel point label, chunk)."""


class About(pydantic.BaseModel):
    """What a unit says of itself, in its schema's metadata.

    :param hash: of the scenario; with ``seed``, ``channel_point`` (its label) and ``chunk`` it decides every value.
    :param num_drops: held: those of a whole chunk, whatever the run counts of them.
    :param counters: how often unusable CSI was mended, by kind and method.
    :param digest: of the rows and of everything else here.
    """

    model_config = pydantic.ConfigDict(strict=True)

    schema_version: int
    hash: str
    seed: int
    channel_point: str
    chunk: pydantic.NonNegativeInt
    num_drops: pydantic.PositiveInt
    counters: dict[str, pydantic.NonNegativeInt]
    notes: list[str]
    digest: str


@dataclass(frozen=True)
class RunIdentity:
    """Whose units they are: hash of the scenario and its seed."""

    hash: str
    seed: int

    def check(self, about: About, path: Path) -> None:
        """Whether a unit is this run's and the one that its name says.

        :raises StoreError: it is another one's; names the first difference.
        """
        label, _, chunk = path.stem.rpartition("-")
        for what, there, here in (
                ("seed", about.seed, self.seed), ("scenario", about.hash[:12], self.hash[:12]),
                ("channel point", about.channel_point, label), ("chunk", about.chunk, int(chunk))):
            if there != here:
                raise StoreError(f"{path}: belongs to another run ({what} {there}, here {here}); {_FIX}")


def unit_name(label: str, chunk: int) -> str:
    """The file of a unit within ``drops``."""
    return f"{label}-{chunk:06d}.parquet"


def unit_files(folder: Path) -> dict[UnitId, Path]:
    """The finished units of an output folder, unread."""
    found = {}
    for path in sorted((folder / "drops").glob("*.parquet")):
        match = _NAME.fullmatch(path.name)
        if match and path.name == unit_name(match["label"], int(match["chunk"])):
            found[match["label"], int(match["chunk"])] = path
    return found


def units_of(folder: Path, manifest: Mapping[str, Any]) -> dict[UnitId, Path]:
    """The units that a run's results are made of, each checked.

    :param manifest: of the folder; one without schema version is older than what could be checked.
    :raises StoreError: a unit that is damaged, changed or another run's.
    """
    files = unit_files(folder)
    if "schema_version" not in manifest:
        return files
    counted, chunk_size = manifest.get("num_drops", {}), manifest.get("chunk_size", 1)
    files = {unit: path for unit, path in files.items() if unit[1] * chunk_size < counted.get(unit[0], 0)}
    run = RunIdentity(manifest.get("hash", ""), manifest.get("seed", 0))
    for path in files.values():
        run.check(about_unit(path), path)
    return files


def write_unit(path: Path, table: pa.Table, run: RunIdentity, unit: UnitId) -> None:
    """Write a unit.

    :param table: of `linksim.experiment.work_unit.UnitRunner`, with counters and notes in its metadata.
    :raises OSError: cannot be written.
    """
    about = {"schema_version": SCHEMA_VERSION, "hash": run.hash, "seed": run.seed, "channel_point": unit[0],
             "chunk": unit[1], "num_drops": len(pc.unique(table["drop"])), **told(table)}
    about["digest"] = _digest(table, about)
    pq.write_table(table.replace_schema_metadata({_KEY: json.dumps(about)}), path, compression="zstd")


def told(table: pa.Table) -> dict[str, Any]:
    """``counters`` and ``notes`` of a unit's table."""
    about = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    return {"counters": about.get("counters", {}), "notes": about.get("notes", [])}


def about_unit(path: Path) -> About:
    """What a unit says of itself, once it is known to be as linksim wrote it; read once while it does not change.

    :raises StoreError: damaged or changed; says what to do.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None
    return _checked(path, status.st_mtime_ns, status.st_size)


@cache
def _checked(path: Path, _modified_ns: int, _size: int) -> About:
    return read_unit(path)[1]


def read_unit(path: Path) -> tuple[pa.Table, About]:
    """A unit's rows and what it says of itself.

    :raises StoreError: damaged or changed; says what to do.
    """
    try:
        # partitioning: a folder called snr=10 is no column
        table = pq.read_table(path, partitioning=None)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, str(error)) from None
    text = (table.schema.metadata or {}).get(_KEY)
    if not {"drop", "user", "method"} <= set(table.column_names):
        raise _damaged(path, "not the rows of a unit")
    if text is None:
        raise _damaged(path, "does not say which run it belongs to")
    try:
        about = About.model_validate_json(text)
        digest = _digest(table, about.model_dump(exclude={"digest"}))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        old = where and first["type"] == "missing"
        raise _damaged(path, "does not say which run it belongs to" if old
                       else f"{where or 'metadata'}: {first['msg'].lower()}") from None
    except (ValueError, TypeError, RecursionError, pa.ArrowException) as error:
        raise _damaged(path, str(error)) from None
    if about.schema_version > SCHEMA_VERSION:
        raise StoreError(f"{path}: of a newer linksim (schema {about.schema_version}, this one reads "
                         f"{SCHEMA_VERSION}): update linksim")
    if digest != about.digest:
        raise _damaged(path, "changed after linksim wrote it")
    return table, about


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(f"{path}: damaged ({' '.join(why.split())}); {_FIX}")


def _digest(table: pa.Table, about: dict[str, Any]) -> str:
    """Digest of values, not of bytes on the disk: versions of the Parquet library may write the same rows otherwise."""
    found = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, column in zip(table.column_names, table.columns):
        if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
            encoded = pc.dictionary_encode(column.cast(pa.string()).combine_chunks())
            kind, values = encoded.dictionary.to_pylist(), encoded.indices.fill_null(-1).to_numpy()
        else:
            kind, values = str(column.type), column.to_numpy()
            found.update(np.packbits(column.is_null().to_numpy()).tobytes())
            if values.dtype.kind == "f":
                values = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, one zero
        found.update(json.dumps([name, kind, len(values)]).encode())
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
