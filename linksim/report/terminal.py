"""The tables of the terminal: a run's when it ends, and those of a comparison."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from linksim.report.comparison import Comparison, compare
from linksim.report.differences import Difference
from linksim.report.files import write_atomically
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


def print_differences(found: Sequence[Difference], output: Path | None, console: Console | None = None) -> None:
    """Print a comparison as a table, and write it as CSV if asked.

    :raises StoreError: the file cannot be written.
    """
    console = console or Console()
    if not found:
        console.print("Nothing in common: no point of the sweeps has both methods' values in the same drops.")
        return
    records = [difference_record(line) for line in found]
    if output is not None:
        write_atomically(output, pandas.DataFrame(records).to_csv(index=False).encode())
    for what in dict.fromkeys(line.what for line in found):
        chosen = [line for line in found if line.what == what]
        methods = list(dict.fromkeys(line.methods for line in chosen))
        title = what if len(methods) > 1 else f"{what}: {_versus(methods[0])}"
        table = RichTable(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
                          show_edge=False, title_style="bold")
        axes = list(dict.fromkeys(column for line in chosen for column in line.point))
        if len(methods) > 1:
            table.add_column("Methods", overflow="fold")
        for heading in (*axes, "first", "second", "difference", "95 % interval", "drops"):
            table.add_column(heading, justify="right", no_wrap=True)
        for line in chosen:
            names = [Text(_versus(line.methods))] if len(methods) > 1 else []
            numbers = [f"{line.first:.3g}", f"{line.second:.3g}", f"{line.value:+.3g}",
                       f"{line.low:+.3g} to {line.high:+.3g}" if line.low == line.low else "–", str(line.num_drops)]
            table.add_row(*names, *(_point_value(line.point.get(column, "")) for column in axes), *numbers)
        console.print(table)
        console.print()
    if output is not None:
        console.print(f"written: {output}", highlight=False)


def difference_record(line: Difference) -> dict[str, Any]:
    """One row of a comparison's CSV."""
    return {"what": line.what, "method": line.methods[0], "against": line.methods[1], **line.point,
            "first": line.first, "second": line.second, "difference": line.value, "ci_low": line.low,
            "ci_high": line.high, "num_drops": line.num_drops}


def _versus(methods: tuple[str, str]) -> str:
    return methods[0] if methods[0] == methods[1] else f"{methods[0]} less {methods[1]}"


def _point_value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
