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
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StoreError(f"{folder}: another run is writing here; wait for it or use --output DIR") from None
        except OSError as error:
            raise StoreError(f"{folder}: cannot write here: {_reason(error)}; use --output DIR") from None
        try:
            self._claim(identity, fresh)
        except BaseException:
            self.close()
            raise

    def _claim(self, identity: str, fresh: bool) -> None:
        manifest = self.read_manifest()
        if manifest is None and any(path.name != ".lock" for path in self.folder.iterdir()):
            raise StoreError(f"{self.folder}: holds files that are not a linksim run; use --output DIR")
        if fresh and manifest is not None:
            self._guard(self._remove_results)
        elif manifest is not None and manifest.get("hash") != identity:
            raise StoreError(
                f"{self.folder}: belongs to another scenario (or to this one before an edit); use --output DIR, "
                "or --fresh to replace it"
            )
        for leftover in self.folder.rglob("*.tmp"):
            leftover.unlink(missing_ok=True)

    def _remove_results(self) -> None:
        for name in ("drops", "figures"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("metrics.csv", "manifest.json", "report.html"):
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Release the folder."""
        self._lock.release()
        (self.folder / ".lock").unlink(missing_ok=True)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_manifest(self) -> dict[str, Any] | None:
        """The manifest, or None where there is none."""
        try:
            return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.folder / 'manifest.json'}: unreadable: {error}; use --output DIR") from None

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file whole."""
        return self._write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_unit(self, label: str, chunk: int, table: pa.Table) -> Path:
        """Write a unit's rows whole; a kill before the rename loses this unit alone."""
        return self._write(f"drops/{label}-{chunk:06d}.parquet",
                           lambda path: pq.write_table(table, path, compression="zstd"))

    def units(self) -> dict[tuple[str, int], Path]:
        """The finished units by (channel point label, chunk)."""
        found = {}
        for path in sorted((self.folder / "drops").glob("*.parquet")):
            match = _UNIT.fullmatch(path.name)
            if match:
                found[match["label"], int(match["chunk"])] = path
        return found

    def read_unit(self, path: Path) -> pa.Table:
        """A finished unit.

        :raises StoreError: damaged file, named.
        """
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path}: damaged ({error}); delete it and run again") from None

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


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    return (error.strerror or str(error)).lower()
