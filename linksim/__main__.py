"""``python -m linksim``, the same as the command ``linksim``."""

import sys

from linksim.cli import main

if __name__ == "__main__":
    sys.exit(main())
