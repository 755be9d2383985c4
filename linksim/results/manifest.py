"""The manifest of a run: of which scenario a folder speaks, and whether it still says what linksim wrote."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NoReturn

import pydantic

from linksim.core.errors import StoreError

SCHEMA_VERSION = 1
"""Version of manifests and units; those without one are older than their digests."""

_DEEPEST = 60
"""Levels of nesting; a scenario has ten."""

_FIX = "delete it and run the scenario again: finished units are kept"


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)


class _Axis(_Part):
    column: str
    key: str | None = None
    label: str | None = None
    values: list[pydantic.FiniteFloat | str] = []
    stage: str | None = None


class _Method(_Part):
    name: str
    kind: str | None = None
    summary: str | None = None


class _Manifest(_Part):
    """What readers rely on. Anything may be missing: older versions wrote less."""

    schema_version: int | None = None
    digest: str | None = None
    scenario_name: str | None = None
    description: str | None = None
    status: str | None = None
    hash: str | None = None
    command: str | None = None
    versions: dict[str, str] | None = None
    seed: int | None = None
    chunk_size: int | None = None
    device: str | None = None
    finished_at: str | None = None
    wall_time_s: pydantic.FiniteFloat | None = None
    axes: list[_Axis] | None = None
    methods: list[_Method] | None = None
    trained: list[str] | None = None
    metrics: list[str] | None = None
    horizon_s: list[pydantic.FiniteFloat] | None = None
    notes: list[str] | str | None = None
    counters: dict[str, int] | None = None
    conventions: dict[str, str] | None = None
    num_drops: dict[str, int] | None = None
    metrics_sha256: str | None = None
    scenario: dict[str, Any] | None = None
    scenario_text: str | None = None


def sealed(manifest: dict[str, Any]) -> str:
    """The text of a manifest's file, with its schema version and digest."""
    manifest = {"schema_version": SCHEMA_VERSION, **manifest}
    return json.dumps({**manifest, "digest": _digest(manifest)}, indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder, every entry of the type that it should have; None where there is none.

    :raises StoreError: damaged, changed by hand or of a newer linksim; names the file, the entry and what to do.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refused)
    except FileNotFoundError:
        return None
    except RecursionError:
        raise StoreError(f"{path}: damaged (nested too deeply); {_FIX}") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: damaged ({error}); {_FIX}") from None
    if not isinstance(manifest, dict):
        raise StoreError(f"{path}: damaged (not a mapping); {_FIX}")
    if _is_deeper(manifest, _DEEPEST):
        raise StoreError(f"{path}: damaged (nested too deeply); {_FIX}")
    try:
        _Manifest.model_validate(manifest)
        digest = _digest(manifest)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("constrained-", "list[")))
        raise StoreError(f"{path}: damaged ({where}: {first['msg'].lower()}); {_FIX}") from None
    except UnicodeEncodeError:
        raise StoreError(f"{path}: damaged (half a character in a text); {_FIX}") from None
    version = manifest.get("schema_version")
    if version is not None and version > SCHEMA_VERSION:
        raise StoreError(f"{path}: of a newer linksim (schema {version}, this one reads {SCHEMA_VERSION}): update "
                         "linksim, or use --output DIR")
    if version is not None and manifest.get("digest") != digest:
        raise StoreError(f"{path}: changed after linksim wrote it; {_FIX}")
    return {key: value for key, value in manifest.items() if value is not None}


def _digest(manifest: dict[str, Any]) -> str:
    kept = {key: value for key, value in manifest.items() if key != "digest"}
    text = json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in parts)


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
