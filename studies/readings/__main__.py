"""``python -m studies.readings``: the readings that are trained so far, each beside its block, seed by seed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from studies.trainings import tell

SCENARIO = Path(__file__).with_name("readings.yaml")


def block_of(name: str) -> str:
    """The row of the block that a reading is one of."""
    return f"{name.partition(', ')[0]}, block"


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 2 where nothing is trained yet."""
    argparse.ArgumentParser(prog="python -m studies.readings", description=__doc__).parse_args(arguments)
    return tell(SCENARIO, block_of)


if __name__ == "__main__":
    sys.exit(main())
