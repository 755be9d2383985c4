"""The output folder: one writer, whole files only, and never another scenario's."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa
import pyarrow.parquet as pq

from linksim.errors import StoreError

_UNIT = re.compile(r"(?P<label>[0-9a-f]{10})-(?P<chunk>\d{6})\.parquet")


class Store:
    """An output folder held by this process while the run lasts.

    :param folder: made if missing.
    :param identity: hash of the scenario; a folder of another one is refused.
    :param fresh: remove an earlier run's results first.
    :raises StoreError: in use by another run, another scenario's, or not writable.
    """

    def __init__(self, folder: Path, identity: str, fresh: bool = False) -> None:
        self.folder = folder
        self._lock = filelock.FileLock(folder / ".lock")
        self._made: list[Path] = []
        try:
            self._made = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StoreError(f"{folder}: another run is writing here; wait for it or use --output DIR") from None
        except OSError as error:
            self._remove_empty()
            raise StoreError(f"{folder}: cannot write here: {_reason(error)}; use --output DIR") from None
        try:
            self._claim(identity, fresh)
        except BaseException:
            self.close()
            raise

    def _claim(self, identity: str, fresh: bool) -> None:
        manifest = self.read_manifest()
        # a kill while the first manifest was written leaves these two
        own = (".lock", "manifest.json.tmp")
        if manifest is None and any(path.name not in own for path in self.folder.iterdir()):
            raise StoreError(f"{self.folder}: holds files that are not a linksim run; use --output DIR")
        if manifest is not None and not {"hash", "scenario_name"} <= set(manifest):
            raise StoreError(f"{self.folder}: its manifest.json is not a linksim run's; use --output DIR")
        if fresh and manifest is not None:
            self._guard(self._remove_results)
        elif manifest is not None and manifest["hash"] != identity:
            raise StoreError(
                f"{self.folder}: belongs to another scenario (or to this one before an edit); use --output DIR, "
                "or --fresh to replace it"
            )
        self._guard(self._remove_leftovers)

    def _remove_leftovers(self) -> None:
        for leftover in self.folder.rglob("*.tmp"):
            leftover.unlink(missing_ok=True)

    def _remove_results(self) -> None:
        for name in ("drops", "figures"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("metrics.csv", "manifest.json", "report.html"):
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Release the folder; one that was made for this run and got nothing is removed again."""
        if self._made and self.folder.is_dir() and [path.name for path in self.folder.iterdir()] == [".lock"]:
            (self.folder / ".lock").unlink()
            self._remove_empty()
        # elsewhere the lock file stays: removing it would let two later runs lock two files of that name
        self._lock.release()

    def _remove_empty(self) -> None:
        for path in self._made:
            try:
                path.rmdir()
            except OSError:
                return

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_manifest(self) -> dict[str, Any] | None:
        """The manifest, or None where there is none.

        :raises StoreError: damaged file, named.
        """
        path = self.folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: damaged ({error}); use --output DIR, or delete the folder") from None
        if not isinstance(manifest, dict):
            raise StoreError(f"{path}: damaged (not a mapping); use --output DIR, or delete the folder")
        return manifest

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file whole."""
        return self._write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_unit(self, label: str, chunk: int, table: pa.Table) -> Path:
        """Write a unit's rows whole; a kill before the rename loses this unit alone."""
        return self._write(f"drops/{label}-{chunk:06d}.parquet",
                           lambda path: pq.write_table(table, path, compression="zstd"))

    def units(self) -> dict[tuple[str, int], Path]:
        """The finished units by (channel point label, chunk)."""
        return unit_files(self.folder)

    def read_unit(self, path: Path) -> pa.Table:
        """A finished unit.

        :raises StoreError: damaged file, named.
        """
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path}: damaged ({error}); delete it and run again") from None
        if not {"drop", "user", "method"} <= set(table.column_names):
            raise StoreError(f"{path}: damaged (not the rows of a unit); delete it and run again")
        return table

    def _write(self, name: str, write: Callable[[Path], Any]) -> Path:
        path = self.folder / name
        temporary = path.with_name(path.name + ".tmp")

        def whole() -> None:
            path.parent.mkdir(exist_ok=True)
            try:
                write(temporary)
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

        self._guard(whole)
        return path

    def _guard(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except OSError as error:
            raise StoreError(
                f"{self.folder}: cannot write: {_reason(error)}; finished units are kept, run again to go on"
            ) from None


def unit_files(folder: Path) -> dict[tuple[str, int], Path]:
    """The finished units of an output folder by (channel point label, chunk)."""
    found = {}
    for path in sorted((folder / "drops").glob("*.parquet")):
        match = _UNIT.fullmatch(path.name)
        if match:
            found[match["label"], int(match["chunk"])] = path
    return found


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    return (error.strerror or str(error)).lower()
