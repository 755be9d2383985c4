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
import numpy
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from linksim.core.files import write_atomically
from linksim.report import style

MAX_LABEL = 46
LEGEND_ROW_IN = 0.15
MAX_LEGEND_ROWS = 9
MAX_LEGEND_COLUMNS = 6
# From the font size and the rc settings legend.handlelength, handletextpad and columnspacing.
LEGEND_SAMPLE_IN = (style.LEGEND_HANDLE + 0.6) * style.LEGEND_FONT_PT / 72
LEGEND_GAP_IN = 1.2 * style.LEGEND_FONT_PT / 72


def new_figure(
    num_panels: int = 1, panel_height_in: float = style.PANEL_HEIGHT_IN
) -> tuple[Figure, list[Axes]]:
    """A figure with panels that share both axes' limits: one column wide, or the page for several panels."""
    num_columns = panels_across(num_panels)
    num_rows = math.ceil(num_panels / num_columns)
    width = style.COLUMN_WIDTH_IN if num_columns == 1 else style.PAGE_WIDTH_IN
    figure = Figure(figsize=(width, panel_height_in * num_rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
    panels = grid.flatten().tolist()
    for panel in panels[num_panels:]:
        panel.set_visible(False)
    return figure, panels[:num_panels]


def panels_across(num_panels: int) -> int:
    """Panels side by side: up to three; four make a square."""
    return num_panels if num_panels <= 3 else 2


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
    widths = [
        max(renderer.get_text_width_height_descent(line, font, ismath=False)[0] for line in label.split("\n"))
        / figure.dpi
        for label in labels
    ]
    num_columns = _legend_columns(widths, figure.get_figwidth())
    if math.ceil(len(labels) / num_columns) > MAX_LEGEND_ROWS:
        figure.set_figwidth(style.PAGE_WIDTH_IN)
        num_columns = _legend_columns(widths, style.PAGE_WIDTH_IN)
    num_rows = math.ceil(len(labels) / num_columns)
    lines = num_rows * max(label.count("\n") + 1 for label in labels)
    figure.set_figheight(figure.get_figheight() + lines * LEGEND_ROW_IN)
    figure.legend(handles, labels, loc="outside lower center", ncols=num_columns)


def _legend_columns(widths_in: Sequence[float], width_in: float) -> int:
    """The most columns that fit, with no more of them than their number of rows needs."""
    for num_columns in range(min(len(widths_in), MAX_LEGEND_COLUMNS), 1, -1):
        columns = numpy.array_split(widths_in, num_columns)  # as matplotlib fills them
        total = sum(column.max() + LEGEND_SAMPLE_IN for column in columns)
        if total + (num_columns - 1) * LEGEND_GAP_IN + 0.06 <= width_in:
            num_rows = math.ceil(len(widths_in) / num_columns)
            return math.ceil(len(widths_in) / num_rows)
    return 1


def wrapped(label: str, width: int = MAX_LABEL) -> str:
    """A long name on several lines of so many characters, so that it cannot leave the figure."""
    indent = " " if label.startswith(" ") else ""
    return indent + "\n".join(textwrap.wrap(label.strip(), width, break_long_words=True) or [" "])


def save(figure: Figure, path: Path) -> list[Path]:
    """Write ``path`` as PNG and, beside it, PDF.

    :raises StoreError: cannot be written.
    """
    written = []
    for suffix, options in ((".png", {"dpi": style.PNG_DPI}), (".pdf", {"metadata": {"CreationDate": None}})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix[1:], **options)
        figure.set_layout_engine("none")  # it is laid out now: the second format need not do it again
        written.append(write_atomically(path.with_suffix(suffix), buffer.getvalue()))
    return written
