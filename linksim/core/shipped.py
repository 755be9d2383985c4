"""What comes with linksim beside code: ready-made scenarios and released checkpoints, in repository and wheel."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def _folder(in_wheel: str, in_repository: str) -> Path:
    installed = _PACKAGE / in_wheel
    return installed if installed.is_dir() else _PACKAGE.parent / in_repository


SCENARIOS = _folder("scenarios", "scenarios")

RELEASED = _folder("checkpoints", "checkpoints/released")
"""Never written to."""


def shipped_scenarios() -> dict[str, Path]:
    """Every ready-made scenario by its name, such as ``fdd_uma_30kmh`` or ``prediction/limit``."""
    return {path.relative_to(SCENARIOS).with_suffix("").as_posix(): path for path in sorted(SCENARIOS.rglob("*.yaml"))}


def located(path: Path) -> Path:
    """A scenario file, or the ready-made one of that name: with or without its folder, ``scenarios/`` and suffix."""
    if os.path.exists(path):  # no fault where no file can have that name
        return path
    name = path.with_suffix("").as_posix().removeprefix("scenarios/")
    shipped = shipped_scenarios()
    return shipped.get(name) or next((file for full, file in shipped.items() if full.endswith(f"/{name}")), path)
