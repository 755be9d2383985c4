"""Packages that hold data sets and frozen encoders, all in the dependency group ``semantic``."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from linksim.errors import LinksimError
from linksim.versions import installed


def package_folder(distribution: str, module: str | None = None) -> Path:
    """The folder of an installed package, which is not imported.

    :param module: its name in Python where that differs by more than hyphens.
    :raises LinksimError: it is not installed.
    """
    spec = importlib.util.find_spec(module or distribution.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise LinksimError(f"package {distribution} is not installed; `uv sync` installs it, with pip: "
                           f"pip install --no-deps {distribution}")
    return Path(next(iter(spec.submodule_search_locations)))


def versions(*distributions: str) -> dict[str, str]:
    """Installed versions by name.

    :raises LinksimError: one is not installed.
    """
    found = {}
    for name in distributions:
        if (version := installed(name)) is None:
            raise LinksimError(f"package {name} is not installed; `uv sync` installs it, with pip: "
                               f"pip install --no-deps {name}")
        found[name] = version
    return found
