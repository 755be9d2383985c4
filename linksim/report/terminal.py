"""The tables of the terminal: a run's when it ends, and those of a comparison."""

from __future__ import annotations

import math
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

from linksim.core.files import write_atomically
from linksim.core.printing import cell, make_console, printable, say
from linksim.report.comparison import Comparison, compare
from linksim.report.differences import Difference
from linksim.report.load import Run
from linksim.report.tables import Table, metric_tables, point_table
from linksim.report.wording import MISSING, values_of

MAX_WIDTH = 100
MAX_METHOD = 30
MAIN_METRICS = ("nmse_db", "sgcs", "rate_bps_hz", "sum_rate_bps_hz")
MIN_COLUMN = 8
PADDING = 2
"""Between columns, the box's own blank column included."""


def final_table(run: Run, console: Console) -> None:
    """Print a compact summary, at most 100 columns wide.

    Several metrics: one column each, at a representative sweep point that the title names; those that do not fit beside
    one another stand in further tables below. One metric: its values over the first axis it depends on, evenly picked
    if they do not fit.
    """
    comparison = compare([run])
    names = [name for name in _main_metrics(comparison) if len(values_of(comparison, name))]
    if not names:
        say(console, "No results yet.")
        return
    table = metric_tables(comparison, names[0])[0] if len(names) == 1 else point_table(comparison, names)
    table = Table(printable(table.title, console), [printable(text, console) for text in table.columns],
                  [(printable(label, console), [printable(text, console) for text in cells])
                   for label, cells in table.rows], table.metric)
    for part in _rich(table, min(console.width, MAX_WIDTH)):
        console.print(part)


def _main_metrics(comparison: Comparison) -> list[str]:
    main = [name for name in MAIN_METRICS if name in comparison.shown]
    return main + [name for name in comparison.shown if name not in main]


def _rich(table: Table, width: int) -> list[RichTable]:
    """The table, in parts that fit; long names fold."""
    widths = [_width(table, index) for index in range(len(table.columns))]
    longest = max(cell_len(label) for label, _ in table.rows)
    method_width = max(MIN_COLUMN, min(MAX_METHOD, longest, width - PADDING - max(widths)))
    parts = _fitting(table, widths, width - method_width - PADDING)
    made, missing = [], {MISSING, "-"}
    for number, kept in enumerate(parts):
        title = f"{table.title} (continued)".strip() if number else table.title
        if table.metric and len(kept) < len(table.columns):
            title = f"{title} ({len(kept)} of {len(table.columns)} columns; all are in metrics.csv)".strip()
        rich_table = RichTable(
            title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
            padding=(0, PADDING - 1, 0, 0), show_edge=False, title_style="bold",
        )
        rich_table.add_column("Method", overflow="fold", max_width=method_width)
        for index in kept:
            rich_table.add_column(_heading(table, index), justify="right", no_wrap=True)
        for label, cells in table.rows:
            if len(parts) == 1 or any(cells[index] not in missing for index in kept):
                rich_table.add_row(Text(label), *(Text(cells[index]) for index in kept))
        made.append(rich_table)
    return made


def _heading(table: Table, index: int) -> Text:
    """A heading broken into lines no wider than the column's cells."""
    width = max(MIN_COLUMN, *(cell_len(cells[index]) for _, cells in table.rows))
    return Text("\n".join(textwrap.wrap(table.columns[index], width, break_long_words=False)))


def _width(table: Table, index: int) -> int:
    lines = [*_heading(table, index).plain.split("\n"), *(cells[index] for _, cells in table.rows)]
    return max(map(cell_len, lines)) + PADDING


def _fitting(table: Table, widths: Sequence[int], width: int) -> list[list[int]]:
    """Columns that fit beside one another: metrics in groups, the values of an axis evenly picked."""
    if not table.metric:
        groups: list[list[int]] = [[]]
        for index, one in enumerate(widths):
            if groups[-1] and sum(widths[other] for other in groups[-1]) + one > width:
                groups.append([])
            groups[-1].append(index)
        return groups
    for count in range(len(widths), 1, -1):
        picked = [round(place * (len(widths) - 1) / (count - 1)) for place in range(count)]
        if sum(widths[index] for index in picked) <= width:
            return [picked]
    return [[len(widths) - 1]]


def print_differences(found: Sequence[Difference], output: Path | None, console: Console | None = None) -> None:
    """Print a comparison as a table, and write it as CSV if asked.

    :raises StoreError: the file cannot be written.
    """
    console = console or make_console()
    if not found:
        say(console, "Nothing in common: no point of the sweeps has both methods' values in the same drops.")
        return
    records = [difference_record(line) for line in found]
    if output is not None:
        write_atomically(output, pandas.DataFrame(records).to_csv(index=False).encode())
    for what in dict.fromkeys(line.what for line in found):
        chosen = [line for line in found if line.what == what]
        methods = list(dict.fromkeys(line.methods for line in chosen))
        title = what if len(methods) > 1 else f"{what}: {_versus(methods[0])}"
        table = RichTable(title=cell(title, console), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
                          show_edge=False, title_style="bold")
        axes = list(dict.fromkeys(column for line in chosen for column in line.point))
        if len(methods) > 1:
            table.add_column("Methods", overflow="fold")
        for heading in (*axes, "first", "second", "difference", "95 % interval", "drops"):
            table.add_column(cell(heading, console), justify="right", no_wrap=True)
        for line in chosen:
            names = [_versus(line.methods)] if len(methods) > 1 else []
            numbers = [_number(line.first), _number(line.second), _number(line.value, "+"),
                       f"{line.low:+.3g} to {line.high:+.3g}" if line.low == line.low else MISSING, str(line.num_drops)]
            values = [_point_value(line.point.get(column, "")) for column in axes]
            table.add_row(*(cell(text, console) for text in (*names, *values, *numbers)))
        console.print(table)
        if most := max(line.num_left_out for line in chosen):
            say(console, f"{most} drops that both have lack a value in one of them and are left out", style="yellow")
        console.print()
    if output is not None:
        say(console, f"written: {output}")


def difference_record(line: Difference) -> dict[str, Any]:
    """One row of a comparison's CSV."""
    return {"what": line.what, "method": line.methods[0], "against": line.methods[1], **line.point,
            "first": line.first, "second": line.second, "difference": line.value, "ci_low": line.low,
            "ci_high": line.high, "num_drops": line.num_drops}


def _versus(methods: tuple[str, str]) -> str:
    return methods[0] if methods[0] == methods[1] else f"{methods[0]} less {methods[1]}"


def _number(value: float, sign: str = "") -> str:
    return MISSING if math.isnan(value) else f"{value:{sign}.3g}"


def _point_value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
