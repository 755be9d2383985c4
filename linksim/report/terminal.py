"""The table printed when a run ends."""

from __future__ import annotations

import textwrap

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from linksim.report.comparison import Comparison, compare
from linksim.report.load import Run
from linksim.report.tables import Table, metric_tables, point_table
from linksim.report.views import values_of

MAX_WIDTH = 100
MAX_METHOD = 30
MAIN_METRICS = ("nmse_db", "sgcs", "rate_bps_hz", "sum_rate_bps_hz")
MIN_COLUMN = 8
PADDING = 2
"""Between columns, the box's own blank column included."""


def final_table(run: Run, console: Console) -> None:
    """Print a compact summary, at most 100 columns wide.

    Several metrics: one column each, at a representative sweep point that the title names. One metric: its
    values over the first axis it depends on.
    """
    comparison = compare([run])
    names = [name for name in _main_metrics(comparison) if len(values_of(comparison, name))]
    if not names:
        console.print("No results yet.")
        return
    table = metric_tables(comparison, names[0])[0] if len(names) == 1 else point_table(comparison, names)
    console.print(_rich(table, min(console.width, MAX_WIDTH)))


def _main_metrics(comparison: Comparison) -> list[str]:
    main = [name for name in MAIN_METRICS if name in comparison.shown]
    return main + [name for name in comparison.shown if name not in main]


def _rich(table: Table, width: int) -> RichTable:
    method_width = min(MAX_METHOD, max(cell_len(label) for label, _ in table.rows))
    kept = _fitting(table, width - method_width - PADDING)
    # Text objects: a method's name may hold brackets, which rich would read as markup.
    title = table.title
    if len(kept) < len(table.columns):
        title = f"{title} ({len(kept)} of {len(table.columns)} columns; all are in metrics.csv)".strip()
    rich_table = RichTable(
        title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        padding=(0, PADDING - 1, 0, 0), show_edge=False, title_style="bold",
    )
    rich_table.add_column("Method", no_wrap=True, overflow="ellipsis", max_width=method_width)
    for index in kept:
        rich_table.add_column(_heading(table, index), justify="right", no_wrap=True)
    for label, cells in table.rows:
        rich_table.add_row(Text(label), *(Text(cells[index]) for index in kept))
    return rich_table


def _heading(table: Table, index: int) -> Text:
    """A heading broken into lines no wider than the column's cells."""
    width = max(MIN_COLUMN, *(cell_len(cells[index]) for _, cells in table.rows))
    return Text("\n".join(textwrap.wrap(table.columns[index], width, break_long_words=False)))


def _width(table: Table, index: int) -> int:
    lines = [*_heading(table, index).plain.split("\n"), *(cells[index] for _, cells in table.rows)]
    return max(map(cell_len, lines)) + PADDING


def _fitting(table: Table, width: int) -> list[int]:
    """The columns that fit: the first ones for metrics, evenly picked for the values of an axis."""
    widths = [_width(table, index) for index in range(len(table.columns))]
    if not table.metric:
        kept, used = [], 0
        for index, one in enumerate(widths):
            if used + one <= width or not kept:
                kept.append(index)
                used += one
        return kept
    for count in range(len(widths), 1, -1):
        picked = [round(place * (len(widths) - 1) / (count - 1)) for place in range(count)]
        if sum(widths[index] for index in picked) <= width:
            return picked
    return [0]
