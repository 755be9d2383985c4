"""From run folders to figures and one self-contained HTML page: figures, tables, definitions, and all it takes to
repeat the run.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from linksim.core.errors import StoreError
from linksim.core.files import write_atomically
from linksim.core.heartbeat import counted, doing
from linksim.core.printing import visible
from linksim.report.comparison import Comparison, compare, run_names
from linksim.report.figures import Figure, draw_figures, label_fonts
from linksim.report.load import Run, load_run
from linksim.report.tables import all_tables
from linksim.report.wording import describe, duration_text, values_of

PIXELS_PER_INCH = 150


def render_html(comparison: Comparison, figures: Sequence[Figure], note: str = "") -> str:
    """The page as text. All strings of the run are escaped; nothing outside the page is referred to.

    :param figures: as `linksim.report.figures.draw_figures` returns them; their PNGs are embedded.
    :param note: on what the figures cannot show.
    :raises StoreError: a PNG cannot be read.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_visible
    )
    template = environment.from_string(files("linksim.report").joinpath("report.html.j2").read_text("utf-8"))
    shown = [describe(name) for name in comparison.shown if len(values_of(comparison, name))]
    return template.render(
        title=comparison.title,
        runs=[_run(run, name) for run, name in zip(comparison.runs, run_names(comparison.runs))],
        figures=[_figure(figure) for figure in figures],
        note=note,
        tables=all_tables(comparison, [metric.name for metric in shown]),
        definitions=shown,
        has_summaries=any(one.method.summary for one in comparison.series),
        methods={one.method.name: one.method for one in comparison.series},
    )


def _visible(value: Any) -> Any:
    """Texts without characters that act on what stands around them, or that UTF-8 cannot write."""
    return visible(value, keep="\n\t") if type(value) is str else value


def _figure(figure: Figure) -> dict[str, Any]:
    try:
        data = base64.b64encode(figure.path.read_bytes()).decode()
    except OSError as error:
        raise StoreError(f"cannot read {figure.path}: {error.strerror}") from None
    return {
        "title": figure.title, "caption": figure.caption, "data": data, "stem": figure.path.stem,
        "width": round(figure.width_in * PIXELS_PER_INCH),
    }


def _run(run: Run, name: str) -> dict[str, Any]:
    manifest = run.manifest
    notes = manifest.get("notes") or []
    return {
        "name": name,
        "status": str(manifest.get("status") or "unknown"),
        "description": str(manifest.get("description") or ""),
        "notes": [str(note) for note in ([notes] if isinstance(notes, str) else notes)],
        "missing": _missing_points(run),
        "facts": {title: text for title, text in _facts(run).items() if text},
        "conventions": _texts(manifest.get("conventions")),
        "scenario_text": str(manifest.get("scenario_text") or ""),
        "manifest": json.dumps(manifest, indent=2, ensure_ascii=False),
    }


def _facts(run: Run) -> dict[str, str]:
    manifest = run.manifest
    count = run.metrics["num_drops"][run.metrics["value"].notna()].dropna()
    low, high = (int(count.min()), int(count.max())) if len(count) else (0, 0)
    wall_time = manifest.get("wall_time_s")
    return {
        "Date": _date(run),
        "Drops per point": "" if not high else f"{low:,}" if low == high else f"{low:,} to {high:,}",
        "Seed": str(manifest.get("seed", "")),
        "Wall time": duration_text(wall_time) if isinstance(wall_time, int | float) else "",
        "Device": str(manifest.get("device") or ""),
        "Versions": ", ".join(f"{key} {text}" for key, text in _texts(manifest.get("versions")).items()),
        "Scenario hash": str(manifest.get("hash") or ""),
        "Command": str(manifest.get("command") or ""),
    }


def _date(run: Run) -> str:
    """When the run ended; older manifests do not say, then when the manifest was written."""
    stated = run.manifest.get("date") or run.manifest.get("finished_at")
    if stated:
        try:
            return datetime.fromisoformat(str(stated)).strftime("%Y-%m-%d %H:%M %Z").strip()
        except ValueError:
            return str(stated)
    try:
        written = (run.folder / "manifest.json").stat().st_mtime
    except OSError:
        return ""
    return datetime.fromtimestamp(written).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def _texts(mapping: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in mapping.items()} if isinstance(mapping, dict) else {}


def _missing_points(run: Run) -> str:
    """How many sweep points no method has a value at, in words; empty if none."""
    columns = [axis.column for axis in run.axes]
    if not columns:
        return ""
    planned = 1
    for axis in run.axes:
        planned *= len(axis.values)
    there = run.metrics[run.metrics["value"].notna()][columns].dropna().drop_duplicates()
    missing = planned - len(there)
    return f"{missing:,} of {planned:,} sweep points have no result yet." if missing > 0 else ""


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
