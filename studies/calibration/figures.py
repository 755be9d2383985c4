"""The figures of the report: distribution functions overlaid, rounding between engines, the table's checks."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from linksim.core.files import write_atomically
from linksim.report import style
from linksim.report.canvas import add_legend
from studies.calibration.draw import METRICS, SPREADS, Values
from studies.calibration.large_scale_check import Finding
from studies.calibration.large_scale_table import PARAMETERS
from studies.calibration.reference import reference_curve
from studies.calibration.study import Comparison, Outcome, Study

CDF_POINTS = 400
PNG_DPI = 150
"""Less than a report's: these figures stand in the repository."""
SHOWN = (0.005, 0.995)
"""Quantiles between which a distribution is shown."""
LINES = {
    "plain Sionna": {"linewidth": 3.2, "alpha": 0.35, "solid_capstyle": "butt"},
    "linksim, other random numbers": {"linewidth": 1.0},
    "linksim, V16.1 tables": {"linewidth": 0.9, "linestyle": (0, (3, 1.5))},
    "3GPP 2016, mean over companies": {"linestyle": "None", "marker": "o", "markersize": 3.4,
                                       "markerfacecolor": "white", "markeredgewidth": 0.8},
}
PLAIN, LINKSIM, EARLIER, REFERENCE = LINES


@dataclass(frozen=True)
class Picture:
    """A figure of the report, the sentence below it, and the section it stands in."""

    name: str
    caption: str
    section: str


def write_figures(study: Study, folder: Path) -> list[Picture]:
    """Draw every figure as PNG into ``folder``.

    :raises StoreError: a file cannot be written.
    """
    written = []
    with matplotlib.rc_context(style.RC):
        for figure, picture in _all(study):
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=PNG_DPI, pil_kwargs={"optimize": True})
            write_atomically(folder / picture.name, buffer.getvalue())
            written.append(picture)
    return written


def _all(study: Study) -> Iterator[tuple[Figure, Picture]]:
    def of(phase: str, scenario: str = "") -> list[Outcome]:
        return [outcome for outcome in study.outcomes
                if outcome.setup.phase == phase and scenario in ("", outcome.setup.scenario)]

    first, second = of("configuration 1"), of("configuration 2")
    yield (_distributions([(of("large scale"), metric) for metric in ("coupling_gain_db", "sir_db", "sinr_db")], 3, {}),
           Picture("large_scale.png", "Large-scale calibration (Table 7.8-1); coupling gain is minus the coupling "
                                      "loss. 3GPP's SINR was found for UMi at 6 GHz alone.", "large scale"))
    yield (_distributions([(outcomes, metric) for outcomes in (first, second)
                           for metric in ("coupling_gain_db", "sir_db")], 2, {}, ["configuration 1"] * 2
                          + ["configuration 2"] * 2),
           Picture("full_gain.png", "Full calibration (Table 7.8-2): coupling gain and wideband SIR by CRS port 0.",
                   "configuration 1"))
    for scenario, name in (("uma", "UMa"), ("umi", "UMi")):
        yield (_distributions([(of("configuration 1", scenario), metric) for metric in SPREADS], 3, study.earlier),
               Picture(f"spreads_{scenario}.png",
                       f"Full calibration, configuration 1, {name}: delay and angle spreads of the serving link.",
                       "configuration 1"))
    yield (_distributions([(second, metric) for metric in
                           ("largest_singular_db", "smallest_singular_db", "singular_ratio_db")], 3, study.earlier),
           Picture("singular_values.png", "Full calibration, configuration 2: singular values of a PRB at t = 0, as "
                                          "10 log10 of the covariance's eigenvalues.",
                   "configuration 2"))
    sectors = of("single sector")
    yield (_distributions([(sectors, metric) for metric in (
        "coupling_gain_db", *SPREADS, "largest_singular_db", "smallest_singular_db", "singular_ratio_db")], 3, {},
        panel_height_in=1.75),
        Picture("single_sector.png", "linksim's own set-ups: one sector, outdoor terminals with two antennas, a 4 x 4 "
                                     "dual-polarised panel. There is no 3GPP curve for these.",
                "single sector"))
    yield (_rounding(study.comparisons),
           Picture("rounding.png", "Largest difference between the engines for one terminal, same random numbers. "
                                   "Ticks: what is accepted as rounding. Delay spread: terminals without line of "
                                   "sight.", "pairs"))
    yield (_scores(study.findings),
           Picture("table_7_5_6.png", "Table 7.5-6 at 2.4, 6 and 30 GHz: distance of each sample's mean, deviation and "
                                      "correlations from the table's value; the grey band is the interval in which all "
                                      "checks together stay with 99 % probability.", "table"))


def _distributions(panels: Sequence[tuple[list[Outcome], str]], columns: int, earlier: dict[str, Values],
                   titles: Sequence[str] = (), panel_height_in: float = style.PANEL_HEIGHT_IN) -> Figure:
    """Empirical distribution functions, one panel for each metric, a colour for each set-up.

    :param panels: set-ups and a metric.
    :param earlier: linksim's values with the tables of V16.1, by set-up.
    """
    figure, axes = _grid(len(panels), columns, panel_height_in)
    shown: dict[str, Line2D] = {}
    for number, (panel, (outcomes, metric)) in enumerate(zip(axes, panels)):
        for outcome, color in zip(outcomes, _colors(outcomes)):
            shown[outcome.setup.place] = Line2D([], [], color=color, linewidth=1.6)
            curves = {PLAIN: outcome.plain[metric], LINKSIM: outcome.independent[metric]}
            if outcome.setup.name in earlier:
                curves[EARLIER] = earlier[outcome.setup.name][metric]
            for kind, values in curves.items():
                panel.plot(*_distribution(values), color=color, **LINES[kind])
            reference = reference_curve(outcome.setup, metric)
            if reference is not None:
                panel.plot(reference[1], reference[0] / 100, color=color, zorder=4, **LINES[REFERENCE])
            kinds = [*curves, *([REFERENCE] if reference is not None else [])]
            shown |= {kind: Line2D([], [], color="#555555", **LINES[kind]) for kind in kinds if kind not in shown}
        _axes(panel, metric, [outcome.independent[metric] for outcome in outcomes])
        if titles:
            panel.set_title(titles[number])
    for panel in axes[::columns]:
        panel.set_ylabel("cumulative distribution")
    places = [name for name in shown if name not in LINES]
    labels = [*places, *(kind for kind in LINES if kind in shown)]
    add_legend(figure, [shown[label] for label in labels], labels)
    return figure


def _grid(number: int, columns: int, panel_height_in: float) -> tuple[Figure, list[Axes]]:
    rows = -(-number // columns)
    figure = Figure(figsize=(style.PAGE_WIDTH_IN, panel_height_in * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for panel in panels[number:]:
        panel.set_visible(False)
    return figure, panels[:number]


def _colors(outcomes: Sequence[Outcome]) -> Sequence[str]:
    return style.PALETTE[:len(outcomes)]


def _distribution(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    level = np.linspace(0, 1, min(len(values) + 1, CDF_POINTS))
    return np.quantile(values, level, method="inverted_cdf"), level


def _axes(panel: Axes, metric: str, values: list[np.ndarray]) -> None:
    looks = METRICS[metric]
    panel.set_xlabel(f"{looks.label} [{looks.unit}]")
    low, high = np.quantile(np.concatenate(values), SHOWN)
    if looks.logarithmic:
        _logarithmic(panel, (1, 2, 5) if high < 50 * low else (1,))
    panel.set_xlim(low, high)
    panel.set_ylim(0, 1)


def _logarithmic(panel: Axes, labelled: tuple[int, ...] = (1,)) -> None:
    """A logarithmic x-axis with plain numbers: matplotlib's own labels need mathematics, which is off."""
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=labelled))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _rounding(comparisons: Sequence[Comparison]) -> Figure:
    metrics = [name for name in METRICS if any(one.metric == name for one in comparisons)]
    figure, (panel,) = _grid(1, 1, 0.6 + 0.22 * len(metrics))
    places = list(dict.fromkeys(one.setup.name for one in comparisons))
    looks = {name: (style.PALETTE[number % len(style.PALETTE)], style.MARKERS[number % len(style.MARKERS)])
             for number, name in enumerate(places)}
    for row, metric in enumerate(reversed(metrics)):
        for one in comparisons:
            if one.metric == metric:
                color, marker = looks[one.setup.name]
                shift = 0.7 * (places.index(one.setup.name) / max(len(places) - 1, 1) - 0.5)
                panel.plot(max(one.deviation, 1e-9), row - shift, linestyle="None", marker=marker, color=color,
                           markersize=3.6)
        panel.plot(METRICS[metric].rounding, row, linestyle="None", marker="|", color="#000000", markersize=11)
    _logarithmic(panel)
    panel.set_yticks(range(len(metrics)), [f"{METRICS[name].label} [{METRICS[name].unit}]"
                                           for name in reversed(metrics)])
    panel.set_ylim(-0.6, len(metrics) - 0.4)
    panel.tick_params(axis="y", length=0)
    panel.set_xlabel("largest difference, in the metric's unit")
    handles = [Line2D([], [], linestyle="None", marker=marker, color=color, markersize=3.6)
               for color, marker in looks.values()]
    add_legend(figure, handles, list(looks))
    return figure


def _scores(findings: Sequence[Finding]) -> Figure:
    names = list(dict.fromkeys(finding.column.name for finding in findings))
    figure, panels = _grid(3, 3, 0.6 + 0.16 * len(names))
    looks = {name: (style.PALETTE[number % len(style.PALETTE)], style.MARKERS[number % len(style.MARKERS)])
             for number, name in enumerate(PARAMETERS)}
    for panel, kind in zip(panels, ("mean", "deviation", "correlation")):
        panel.axvspan(-1, 1, color="#EFEFEF", zorder=0)
        panel.axvline(0, color="#BBBBBB", linewidth=0.6, zorder=1)
        for finding in findings:
            if finding.quantity.startswith(kind):
                color, marker = looks.get(finding.quantity.rpartition(" ")[2], ("", "")) \
                    if kind != "correlation" else ("#555555", ".")
                panel.plot(finding.check.score, len(names) - 1 - names.index(finding.column.name), linestyle="None",
                           marker=marker, color=color, markersize=3.4 if kind != "correlation" else 3)
        panel.set_xlim(-1.35, 1.35)
        panel.set_ylim(-0.7, len(names) - 0.3)
        panel.set_yticks(range(len(names)), list(reversed(names)) if panel is panels[0] else [])
        panel.tick_params(axis="y", length=0)
        panel.set_title({"mean": "means", "deviation": "deviations", "correlation": "cross-correlations"}[kind])
    panels[1].set_xlabel("distance from the table in half widths of the interval")
    handles = [Line2D([], [], linestyle="None", marker=marker, color=color, markersize=3.4)
               for color, marker in looks.values()]
    add_legend(figure, handles, [name.upper() for name in looks])
    return figure
