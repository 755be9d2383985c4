"""An empty figure of the right size with a legend below it, and its files.

Figures are built without ``pyplot``: the caller's backend, open figures and settings stay as they are.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from linksim.report import style
from linksim.report.files import write_atomically

MAX_LABEL = 46
LEGEND_ROW_IN = 0.15
MAX_LEGEND_ROWS = 9


def new_figure(
    num_panels: int = 1, panel_height_in: float = style.PANEL_HEIGHT_IN
) -> tuple[Figure, list[Axes]]:
    """A figure with panels that share both axes' limits: one column wide, or the page for several panels."""
    num_columns = {1: 1, 2: 2, 3: 3}.get(num_panels, 2)
    num_rows = math.ceil(num_panels / num_columns)
    width = style.COLUMN_WIDTH_IN if num_columns == 1 else style.PAGE_WIDTH_IN
    figure = Figure(figsize=(width, panel_height_in * num_rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
    panels = grid.flatten().tolist()
    for panel in panels[num_panels:]:
        panel.set_visible(False)
    return figure, panels[:num_panels]


def add_legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """A legend below the panels; the figure grows by its height, so panels keep theirs.

    A legend that would stand higher than the panel takes the width of the page.
    """
    if not labels:
        return
    # Legends leave out labels that begin with an underscore.
    labels = [wrapped(" " + label if label.startswith("_") else label) for label in labels]
    renderer = FigureCanvasAgg(figure).get_renderer()
    font = matplotlib.font_manager.FontProperties(size=style.LEGEND_FONT_PT)
    widest = max(
        renderer.get_text_width_height_descent(line, font, ismath=False)[0] / figure.dpi
        for label in labels for line in label.split("\n")
    )
    num_columns, num_rows = _legend_shape(len(labels), widest, figure.get_figwidth())
    if num_rows > MAX_LEGEND_ROWS:
        figure.set_figwidth(style.PAGE_WIDTH_IN)
        num_columns, num_rows = _legend_shape(len(labels), widest, style.PAGE_WIDTH_IN)
    lines = num_rows * max(label.count("\n") + 1 for label in labels)
    figure.set_figheight(figure.get_figheight() + lines * LEGEND_ROW_IN)
    figure.legend(handles, labels, loc="outside lower center", ncols=num_columns)


def _legend_shape(num_labels: int, widest_in: float, width_in: float) -> tuple[int, int]:
    """Columns and rows; the rows are filled evenly."""
    column_in = widest_in + 0.46  # the line sample and the gap to the next column
    num_columns = max(1, min(num_labels, int(width_in / column_in)))
    num_rows = math.ceil(num_labels / num_columns)
    return math.ceil(num_labels / num_rows), num_rows


def wrapped(label: str) -> str:
    """A long name on several lines, so that it cannot leave the figure."""
    indent = " " if label.startswith(" ") else ""
    return indent + "\n".join(textwrap.wrap(label, MAX_LABEL, break_long_words=True) or [" "])


def save(figure: Figure, path: Path) -> list[Path]:
    """Write ``path`` as PNG and, beside it, PDF.

    :raises StoreError: cannot be written.
    """
    written = []
    for suffix, options in ((".png", {"dpi": style.PNG_DPI}), (".pdf", {"metadata": {"CreationDate": None}})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], **options)
        written.append(write_atomically(path.with_suffix(suffix), buffer.getvalue()))
    return written
