"""How figures look: sizes and fonts for an IEEE column, and one line style per method.

Methods are told apart by colour (colour-blind safe), marker and dashes at once, so that a grey print of
fifteen curves can still be read. The style depends on the place in the run's list of methods alone: a
method looks the same in every figure of a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from linksim.report.load import PERFECT_CSI, Method

COLUMN_WIDTH_IN = 3.5
PAGE_WIDTH_IN = 7.16
PANEL_HEIGHT_IN = 2.35
PNG_DPI = 200
LEGEND_FONT_PT = 7.0
BAND_ALPHA = 0.16

# Okabe and Ito without black (perfect CSI) and with a darker yellow, then colours of Tol's "muted" set.
PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
    "#882255", "#332288", "#999933", "#44AA99", "#661100", "#B0A000",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "8", "H")
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (4, 1.6, 1, 1.6)))
BOUND_COLORS = ("#000000", "#6E6E6E", "#9A9A9A")
BOUND_DASHES: tuple[Any, ...] = ((0, (5, 2)), (0, (1, 1.3)), (0, (5, 1.5, 1, 1.5)), (0, (9, 3)))
REFERENCE_DASHES: tuple[Any, ...] = ("-", (0, (8, 1.2, 2, 1.2)))
RUN_DASHES: tuple[Any, ...] = ("-", (0, (4.5, 1.5)), (0, (1, 1.2)), (0, (4.5, 1.5, 1, 1.5)))
RUN_SHADES = ("#000000", "#8A8A8A", "#5A5A5A", "#B0B0B0")

RC: dict[str, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "figure.titlesize": 8,
    "xtick.labelsize": 7, "ytick.labelsize": 7, "legend.fontsize": LEGEND_FONT_PT,
    "font.family": ["DejaVu Sans"],
    # A "$" in a method's name is a character, not mathematics that fails to parse.
    "text.parse_math": False, "text.usetex": False,
    "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": "#DDDDDD", "grid.linewidth": 0.5,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "axes.xmargin": 0.03, "axes.ymargin": 0.06, "axes.unicode_minus": True,
    "legend.frameon": False, "legend.handlelength": 2.6, "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.35, "legend.handletextpad": 0.6, "legend.borderpad": 0.2,
    "figure.facecolor": "white", "savefig.facecolor": "white",
    # TrueType: IEEE rejects PDFs with Type 3 fonts.
    "pdf.fonttype": 42,
}
"""Settings for `matplotlib.rc_context`; never applied globally."""


@dataclass(frozen=True)
class LineStyle:
    """How one method is drawn; ``marker`` is empty for limits and for perfect CSI."""

    color: str
    linestyle: Any = "-"
    marker: str = ""
    linewidth: float = 1.1
    zorder: float = 3.0
    hollow: bool = False
    marker_size: float = 4.4

    def line(self) -> dict[str, Any]:
        """Keyword arguments for `matplotlib.axes.Axes.plot`."""
        return {
            "color": self.color, "linestyle": self.linestyle, "linewidth": self.linewidth,
            "zorder": self.zorder, **self.dot(), "marker": self.marker or "None",
            "markersize": self.marker_size,
        }

    def dot(self) -> dict[str, Any]:
        """The marker alone, e.g. for a point without neighbours to join it to."""
        face, edge = ("white", self.color) if self.hollow else (self.color, "white")
        return {
            "color": self.color, "marker": self.marker or "D", "markersize": 4.4, "markerfacecolor": face,
            "markeredgecolor": edge, "markeredgewidth": 0.8 if self.hollow else 0.4,
        }


def line_styles(methods: Sequence[Method]) -> dict[str, LineStyle]:
    """The style of each method by its place: limits and methods count separately."""
    styles: dict[str, LineStyle] = {}
    num_bounds = num_references = num_methods = 0
    for method in methods:
        if method.name == PERFECT_CSI:
            styles[method.name] = LineStyle("#000000", linewidth=1.4, zorder=2.6)
        elif method.kind == "reference":
            dashes = REFERENCE_DASHES[num_references % len(REFERENCE_DASHES)]
            styles[method.name] = LineStyle("#6b6b6b", dashes, linewidth=1.4, zorder=2.6)
            num_references += 1
        elif method.kind == "bound":
            color = BOUND_COLORS[num_bounds % len(BOUND_COLORS)]
            styles[method.name] = LineStyle(color, BOUND_DASHES[num_bounds % len(BOUND_DASHES)], zorder=2.5)
            num_bounds += 1
        else:
            # 12 colours, 15 markers and 3 dashes: no combination repeats before 60 methods. Dashed lines lie
            # above solid ones, with smaller markers: of curves that coincide, the lower shows in the gaps.
            layer = num_methods % len(DASHES)
            styles[method.name] = LineStyle(
                PALETTE[num_methods % len(PALETTE)], DASHES[layer], MARKERS[num_methods % len(MARKERS)],
                zorder=3 + 0.3 * layer + 0.01 * num_methods, marker_size=4.6 - 0.4 * layer,
            )
            num_methods += 1
    return styles


def style_of_run(style: LineStyle, run_index: int) -> LineStyle:
    """The style when several runs share a figure.

    Colour and marker still tell the method, the dashes tell the run. Limits and perfect CSI have neither
    colour nor marker: they keep their dashes, and the shade of grey tells the run.
    """
    if not style.marker:
        return replace(style, color=RUN_SHADES[run_index % len(RUN_SHADES)])
    dashes = RUN_DASHES[run_index % len(RUN_DASHES)]
    return replace(style, linestyle=dashes, hollow=run_index % 2 == 1)
