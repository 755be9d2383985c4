"""Versions of what numbers depend on, as the installer noted them.

Not from a package's ``__version__``: two distributions may share a package, as sionna-no-rt and sionna-rt share
``sionna``, and whichever was unpacked last decides what its ``__init__`` holds.
"""

from __future__ import annotations

import platform
from importlib import metadata

from linksim import __version__

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
