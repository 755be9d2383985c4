"""The output folder: one writer, whole files only, never another scenario's, and nothing touched that is not linksim's.

Names that linksim writes: ``manifest.json``, ``metrics.csv``, ``report.html``, units in ``drops/``, figures in
``figures/``, ``.lock``, and temporary names of these. Everything else in a folder is its owner's.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa

from linksim.core.errors import StoreError
from linksim.core.files import name_behind, reason, write_whole
from linksim.metrics.catalogue import metric_names, tell
from linksim.results.manifest import read_manifest, sealed
from linksim.results.unit_file import About, RunIdentity, UnitId, read_unit, unit_files, unit_name, write_unit

REPLACING = "replacing"
"""Status of a manifest while results of an earlier run still lie beside it."""

_DERIVED = ("metrics.csv", "report.html")
_UNIT = re.compile(r"[0-9a-f]{10}-\d{6,}\.parquet")


def _is_figure(name: str) -> bool:
    """Whether linksim writes figures of that name."""
    drawn = "|".join(sorted({part for known in metric_names() for part in (known, known.removesuffix("_db"))}))
    return re.fullmatch(rf"(?:{drawn}|nmse_step_\d+_db|position_error|path_loss)_(?:by_method|cdf|map|vs_\w+)"
                        r"\.(?:png|pdf)", name) is not None


class Store:
    """An output folder held by this process while the run lasts.

    :param folder: made if missing.
    :param identity: hash of the scenario; a folder of another one is refused.
    :param seed: of the scenario.
    :param fresh: replace an earlier run's results; they stay as they are until `begin`.
    :raises StoreError: in use by another run, another scenario's, or not writable.
    """

    def __init__(self, folder: Path, identity: str, seed: int = 0, fresh: bool = False) -> None:
        self.folder = folder
        self._run = RunIdentity(identity, seed)
        self._lock = filelock.FileLock(folder / ".lock")
        self._made: list[Path] = []
        _recognised(folder, fresh)  # before there is a lock file: a folder that is refused stays as it was
        try:
            self._made = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise StoreError(f"{folder}: another run is writing here; wait for it or use --output DIR") from None
        except OSError as error:
            self._remove_empty()
            raise StoreError(f"{folder}: cannot write here: {reason(error)}; use --output DIR") from None
        try:
            self._claim(fresh)
        except BaseException:
            self.close()
            raise

    def _claim(self, fresh: bool) -> None:
        found = _recognised(self.folder, fresh)
        self.replacing = found is not None and (fresh or found.get("status") == REPLACING)
        if found is not None and found["hash"] != self._run.hash and not fresh:
            raise StoreError(
                f"{self.folder}: belongs to another scenario (or to this one before an edit); use --output DIR, "
                "or --fresh to replace it"
            )
        if found and not self.replacing and "schema_version" not in found:
            raise StoreError(f"{self.folder}: of an older linksim, whose units do not say which run they belong to; "
                             "use --output DIR, or --fresh to replace it")
        tell((found or {}).get("plugged_metrics"))  # whose figures are linksim's too
        self.earlier: dict[str, Any] = found if found and not self.replacing else {}
        with self._writing():
            for folder, is_own in self._own_files():
                for path in _files(folder):
                    if (name := name_behind(path.name)) and is_own(name):
                        path.unlink()

    def begin(self, manifest: Callable[[str], dict[str, Any]]) -> None:
        """About to write the first unit of this process: remove what would not fit it.

        After a kill at any moment in here, the manifest says what the files beside it are.

        :param manifest: of a status.
        """
        if self.replacing:
            self.write_manifest(manifest(REPLACING))
            self._remove(self.folder / "drops", _UNIT.fullmatch)
        else:
            self.write_manifest(manifest("partial"))
        self._remove(self.folder / "figures", _is_figure)
        self._remove(self.folder, _DERIVED.__contains__)
        if self.replacing:
            self.write_manifest(manifest("partial"))
            self.replacing = False

    def _own_files(self) -> Iterator[tuple[Path, Callable[[str], Any]]]:
        """Every folder that linksim writes to, and whether a name in it is one that linksim writes."""
        yield self.folder, {"manifest.json", *_DERIVED}.__contains__
        yield self.folder / "drops", _UNIT.fullmatch
        yield self.folder / "figures", _is_figure

    def _remove(self, folder: Path, is_own: Callable[[str], Any]) -> None:
        for path in _files(folder):
            if is_own(path.name):
                try:
                    path.unlink()
                except OSError as error:
                    raise StoreError(f"{path}: cannot be deleted ({reason(error)}), and belongs to earlier results; "
                                     "delete it and run again") from None
        if folder != self.folder:
            with contextlib.suppress(OSError):  # it holds others' files
                folder.rmdir()

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

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write ``manifest.json``, sealed."""
        self._write("manifest.json", lambda path: path.write_bytes(sealed(manifest).encode()))

    def write_text(self, name: str, text: str) -> str:
        """Write a text file whole.

        :returns: SHA-256 of it.
        """
        content = text.encode()
        self._write(name, lambda path: path.write_bytes(content))
        return hashlib.sha256(content).hexdigest()

    def write_unit(self, label: str, chunk: int, table: pa.Table) -> Path:
        """Write a unit's rows whole; a kill before the rename loses this unit alone."""
        return self._write(f"drops/{unit_name(label, chunk)}",
                           lambda path: write_unit(path, table, self._run, (label, chunk)))

    def units(self) -> dict[UnitId, Path]:
        """The finished units by (channel point label, chunk); none while they are those to be replaced."""
        return {} if self.replacing else unit_files(self.folder)

    def read_unit(self, path: Path) -> tuple[pa.Table, About]:
        """A finished unit and what it says of itself.

        :raises StoreError: damaged, changed or another run's; named.
        """
        table, about = read_unit(path)
        self._run.check(about, path)
        return table, about

    def _write(self, name: str, write: Callable[[Path], Any]) -> Path:
        path = self.folder / name
        with self._writing():
            path.parent.mkdir(exist_ok=True)
            write_whole(path, write)
        return path

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self.folder}: cannot write: {reason(error)}; finished units are kept, run again to go on"
            ) from None


def _recognised(folder: Path, fresh: bool) -> dict[str, Any] | None:
    """The manifest of a folder that a run may use; one of its units stands in where it is lost. None: it is empty.

    :param fresh: a damaged manifest will be replaced.
    :raises StoreError: the folder holds something else, or cannot be read.
    """
    if not folder.is_dir():
        return None
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise StoreError(f"{folder}: cannot read this folder: {reason(error)}; use --output DIR") from None
    try:
        manifest = read_manifest(folder)
    except StoreError:
        manifest = _of_a_unit(folder) if fresh else None
        if manifest is None:
            raise
        return manifest
    if manifest is not None and not {"hash", "scenario_name"} <= manifest.keys():
        raise StoreError(f"{folder}: its manifest.json is not a linksim run's; use --output DIR")
    if manifest is None and any(name != ".lock" and name_behind(name) != "manifest.json" for name in names):
        manifest = _of_a_unit(folder)
        if manifest is None:
            raise StoreError(f"{folder}: holds files that are not a linksim run; use --output DIR")
    return manifest


def _of_a_unit(folder: Path) -> dict[str, Any] | None:
    """What a manifest would say of the run that a folder's units belong to."""
    for path in unit_files(folder).values():
        with contextlib.suppress(StoreError):
            about = read_unit(path)[1]
            return {"hash": about.hash, "schema_version": about.schema_version}
    return None


def _files(folder: Path) -> list[Path]:
    """Files and links of a folder, not what is below it."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_symlink() or path.is_file()]
