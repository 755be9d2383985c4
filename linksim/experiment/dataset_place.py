"""Where ``linksim dataset`` writes: one process at a time, all of it or nothing, a kill's leftovers put right."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from linksim.channel.files.opened import manifest_path
from linksim.core.errors import LinksimError, StoreError
from linksim.core.file_lock import held

SUFFIXES = (".h5", ".hdf5", ".npz", ".mat")


class Place:
    """The place of a data set, with the names that are used on the way there; nobody else has names like these.

    :param out: the file, or the folder for the llm4cp layout.
    :param layout: ``linksim`` or ``llm4cp``.
    :param overwrite: what is there is replaced.
    """

    def __init__(self, out: Path, layout: str, overwrite: bool) -> None:
        self.out, self._layout, self._overwrite = out, layout, overwrite
        self.manifest = manifest_path(out)
        self.temporary = out.with_name(f".{out.stem}.part{out.suffix}")
        self._replaced = out.with_name(f".{out.name}.replaced")
        self._lock = out.with_name(f".{out.name}.lock")
        self._half = out.with_name(f".{out.name}.manifest.part")
        self._ready = out.with_name(f".{out.name}.manifest.ready")

    @contextlib.contextmanager
    def held(self, say: Callable[[str], None]) -> Iterator[None]:
        """The place for this process alone.

        :raises LinksimError: something is there that must not be replaced.
        :raises StoreError: the folder cannot be written.
        """
        self._check_name()
        if not self._ready.exists():  # else there is something to make good first
            self._check_free("exists")
        made = [folder for folder in self.out.parents if not folder.exists()]
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            with held(self._lock, f"writes {self.out}", say, removed=True) as waited:
                try:
                    self._recover()
                    self._check_free("exists: another process has written it meanwhile" if waited else "exists")
                    yield
                finally:
                    self._clear()
        except OSError as error:
            raise StoreError(f"{self.out}: cannot write: {(error.strerror or str(error)).lower()}") from None
        finally:
            with contextlib.suppress(OSError):
                for folder in made:
                    folder.rmdir()

    def install(self, manifest: str) -> None:
        """Put what was written to `temporary` in its place, with its manifest."""
        self._half.write_text(manifest, encoding="utf-8")
        os.replace(self._half, self._ready)  # from here on, a kill is made good by the next command
        self._finish()

    def _finish(self) -> None:
        if self.temporary.exists():
            if self.out.is_dir():
                os.replace(self.out, self._replaced)
            os.replace(self.temporary, self.out)
        if self.out.exists():
            os.replace(self._ready, self.manifest)

    def _recover(self) -> None:
        """What a kill left: a data set that was whole is put in its place, all else is removed."""
        if self._ready.exists():
            self._finish()
        elif self._replaced.exists() and not self.out.exists():
            os.replace(self._replaced, self.out)
        self._clear()

    def _clear(self) -> None:
        for path in (self.temporary, self._replaced, self._half, self._ready):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def _check_name(self) -> None:
        if self._layout == "linksim" and self.out.suffix not in SUFFIXES:
            raise LinksimError(f"--out {self.out}: its name must end in one of {', '.join(SUFFIXES)}")
        if self._layout == "llm4cp" and self.out.suffix in SUFFIXES:
            raise LinksimError(f"--out {self.out}: the llm4cp layout is a folder of .mat files: name a folder")

    def _check_free(self, there: str) -> None:
        if self.out.is_dir():
            if self._layout == "linksim":
                raise LinksimError(f"--out {self.out}: is a folder")
            if self._overwrite:
                self._check_own()
        if not self._overwrite and (self.out.exists() or self.manifest.exists()):
            raise LinksimError(f"--out {self.out}: {there}; --overwrite replaces it")

    def _check_own(self) -> None:
        """Whether a folder holds nothing but what its manifest names."""
        try:
            names = set(json.loads(self.manifest.read_text(encoding="utf-8"))["file"]["files"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise LinksimError(f"--out {self.out}: is a folder that this command did not write") from None
        strangers = sorted(path.name for path in self.out.iterdir() if path.name not in names)
        if strangers:
            raise LinksimError(f"--out {self.out}: holds {strangers[0]}, which this command did not write: move it, or "
                               "name another folder")
