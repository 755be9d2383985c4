"""How figures look: sizes and fonts for an IEEE column, and one line style per method.

Methods are told apart by colour (colour-blind safe), marker and dashes at once, so that a grey print of
fifteen curves can still be read. The style depends on the place in the run's list of methods alone: a
method looks the same in every figure of a report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.typing import RcKeyType

from linksim.report.load import PERFECT_CSI, Method

COLUMN_WIDTH_IN = 3.5
PAGE_WIDTH_IN = 7.16
PANEL_HEIGHT_IN = 2.35
PNG_DPI = 200
LEGEND_FONT_PT = 7.0
LEGEND_HANDLE = 3.2
"""Length of a legend's sample in font sizes: a dash pattern shows on both sides of the marker."""
BAND_ALPHA = 0.16

# Okabe and Ito without black (references) and yellow (too light for lines), then what is farthest from these, from
# black and grey and from one another to normal, red-blind and green-blind eyes (at least 13 in CIELAB).
PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
    "#9E0142", "#8000FF", "#005F00", "#1A85FF", "#C0392B", "#4B0092",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "d")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1)), (0, (5, 1.4, 1, 1.4)), (0, (7, 1.4, 1, 1.4, 1, 1.4)))
"""As many as have no factor in common with the colours: 60 looks, and neighbours differ in both."""
RUN_DASHES: tuple[Any, ...] = (*DASHES, (0, (9, 2)), (0, (2.5, 2.5)), (0, (4, 1, 1, 1, 1, 1, 1, 1)))
GREYS = ("#000000", "#6E6E6E", "#9A9A9A")
BOUND_DASHES: tuple[Any, ...] = ((0, (5, 2)), (0, (1, 1.3)), (0, (5, 1.5, 1, 1.5)), (0, (9, 3)))
REFERENCE_DASHES: tuple[Any, ...] = ((0, (8, 1.2, 2, 1.2)), (0, (2, 2.5)), (0, (12, 2)), (0, (3, 1, 1, 1, 1, 1)))
RUN_SHADES = ("#000000", "#8A8A8A", "#5A5A5A", "#B0B0B0")

RC: dict[RcKeyType, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "figure.titlesize": 8,
    "xtick.labelsize": 7, "ytick.labelsize": 7, "legend.fontsize": LEGEND_FONT_PT,
    "font.family": ["DejaVu Sans"],
    # A "$" in a method's name is a character, not mathematics that fails to parse.
    "text.parse_math": False, "text.usetex": False,
    "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": "#DDDDDD", "grid.linewidth": 0.5,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "axes.xmargin": 0.03, "axes.ymargin": 0.06, "axes.unicode_minus": True,
    "legend.frameon": False, "legend.handlelength": LEGEND_HANDLE, "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.35, "legend.handletextpad": 0.6, "legend.borderpad": 0.2,
    "figure.facecolor": "white", "savefig.facecolor": "white",
    # TrueType: IEEE rejects PDFs with Type 3 fonts.
    "pdf.fonttype": 42,
}
"""Settings for `matplotlib.rc_context`; never applied globally."""


@dataclass(frozen=True)
class LineStyle:
    """How one method is drawn; ``marker`` is empty for limits and for perfect CSI.

    :param number: of the method among those of its kind.
    """

    color: str
    linestyle: Any = "-"
    marker: str = ""
    linewidth: float = 1.1
    zorder: float = 3.0
    hollow: bool = False
    marker_size: float = 4.4
    number: int = 0

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
    """The style of each method by its place; methods, references and bounds count separately.

    No two methods share colour and dashes before the 61st, nor colour, dashes and marker before the 661st.
    """
    styles: dict[str, LineStyle] = {}
    count = Counter[str]()
    for method in methods:
        number = count[method.kind]
        if method.name == PERFECT_CSI:
            styles[method.name] = LineStyle("#000000", linewidth=1.4, zorder=2.6)
            continue
        if method.kind in ("reference", "bound"):
            dashes, width, zorder = (REFERENCE_DASHES, 1.4, 2.6) if method.kind == "reference" else \
                (BOUND_DASHES, 1.1, 2.5)
            color, kind_of_dash = GREYS[number % len(GREYS)], dashes[number % len(dashes)]
            styles[method.name] = LineStyle(color, kind_of_dash, linewidth=width, zorder=zorder, number=number)
        else:
            styles[method.name] = _style_of_method(number)
        count[method.kind] += 1
    return styles


def _style_of_method(number: int) -> LineStyle:
    """Dashed lines lie above solid ones, with smaller markers: of curves that coincide, the lower shows in the gaps."""
    layer, again = number % len(DASHES), number // (len(PALETTE) * len(DASHES))
    return LineStyle(
        PALETTE[number % len(PALETTE)], DASHES[layer], MARKERS[(number + again) % len(MARKERS)],
        zorder=3 + 0.2 * layer + 0.001 * number, marker_size=4.6 - 0.2 * layer, number=number,
    )


def style_of_run(style: LineStyle, run_index: int, num_runs: int) -> LineStyle:
    """The style when several runs share a figure.

    Colour and marker still tell the method, the dashes tell the run; methods beyond the last colour have dashes of
    their own. Limits and perfect CSI have neither colour nor marker: they keep their dashes, and the shade of grey
    tells the run.
    """
    if not style.marker:
        return replace(style, color=RUN_SHADES[run_index % len(RUN_SHADES)])
    dashes = RUN_DASHES[(run_index + num_runs * (style.number // len(PALETTE))) % len(RUN_DASHES)]
    return replace(style, linestyle=dashes, hollow=run_index % 2 == 1)
