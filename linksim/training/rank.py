"""One of several processes that share a training: ``python -m linksim.training.rank N``, started by `launch`."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from linksim.errors import LinksimError
from linksim.printing import make_console, one_line, prepare_streams, write
from linksim.scenario.plugins import load_plugins


def main() -> int:
    """Read the request from standard input and take part.

    :returns: exit code; the reason of a failure is the last line on standard error.
    """
    prepare_streams()
    rank = int(sys.argv[1])
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        load_plugins(request["scenario"]["plugins"])
        from linksim.training.launch import train_here
        from linksim.training.parts import part_from

        console = make_console(quiet=request["quiet"] or rank > 0, force_terminal=request["terminal"],
                               width=request["width"])
        train_here(part_from(request), Path(request["folder"]), request["device"], console, rank)
    except LinksimError as error:
        write(f"error: {one_line(str(error))}", to_stderr=True)
        return 2
    return 0


def _end_with_parent() -> None:
    """A process that was left alone by a kill would go on writing where another one trains by then."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
