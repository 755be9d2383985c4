"""Run a scenario: ``python run_sim.py scenarios/fdd_uma_30kmh.yaml``. See ``--help``."""

import sys

from linksim.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command())
