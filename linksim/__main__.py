"""``python -m linksim``, the same as the command ``linksim``."""

import sys

from linksim.cli import command_line

if __name__ == "__main__":
    sys.exit(command_line())
