"""`build_report`: from run folders to figures and a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from linksim.core.errors import StoreError
from linksim.core.files import write_atomically
from linksim.core.heartbeat import counted, doing
from linksim.report.comparison import compare
from linksim.report.figures import draw_figures, label_fonts
from linksim.report.html import render_html
from linksim.report.load import load_run


def build_report(folders: Sequence[Path | str], output: Path | str | None = None,
                 say: Callable[[str], None] | None = None) -> list[Path]:
    """Draw ``figures/*.png`` and ``*.pdf`` and write ``report.html``.

    One folder is reported in place; several are laid over one another (curves of the same metric and axis
    share a figure) and reported in ``output``, by default ``./report``. The figures are drawn from
    ``metrics.csv`` and ``drops/`` alone: nothing is simulated. Without drops (released results hold tables alone)
    distributions and maps are left out.

    :param say: is told what the figures cannot show.
    :returns: the files written, ``report.html`` last.
    :raises StoreError: no folder given, a folder is not a linksim run, or a file cannot be written.
    """
    if not folders:
        raise StoreError("nothing to report: give the output folder of at least one run")
    comparison = compare([load_run(folder) for folder in counted("reading runs", folders)])
    target = Path(output) if output is not None else Path(folders[0]) if len(folders) == 1 else Path("report")
    with doing("drawing figures"):
        figures = draw_figures(comparison, target / "figures")
    note = label_fonts(comparison).note
    if note and say:
        say(f"note: {note}")
    page = write_atomically(target / "report.html", render_html(comparison, figures, note).encode("utf-8"))
    return [path for figure in figures for path in (figure.path, figure.path.with_suffix(".pdf"))] + [page]
