"""How figures look: sizes and fonts for an IEEE column, and one line style per method.

Methods are told apart by colour (colour-blind safe), marker and dashes at once, so that a grey print of
fifteen curves can still be read. The style depends on the place in the run's list of methods alone: a
method looks the same in every figure of a report.

Fonts for names in any script: matplotlib's own first, then whatever is installed and has the missing characters.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.typing import RcKeyType

from linksim.report.load import PERFECT_CSI, Method

OWN = "DejaVu Sans"
"""Comes with matplotlib: Latin, Greek, Cyrillic, Arabic, many symbols; no Chinese, Japanese or Korean."""

_MAX_NAMED = 12
_LIGHT, _BOLD = 300, 500
_NO_GLYPH_NEEDED = ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Me")
"""Categories of characters that are nothing by themselves: spaces, joiners, accents that follow a letter."""


@dataclass(frozen=True)
class Fonts:
    """What text is drawn with.

    :param families: in the order in which they are asked for a character.
    :param missing: characters that no installed font has.
    """

    families: tuple[str, ...]
    missing: str = ""

    def drawable(self, text: str) -> str:
        r"""The text with characters that cannot be drawn as their codes, ``\u57fa``: boxes would all look the same."""
        return "".join(_code(character) if character in self.missing else character for character in text)

    @property
    def note(self) -> str:
        """One sentence about what is missing; empty for nothing."""
        if not self.missing:
            return ""
        named = self.missing[:_MAX_NAMED] + "…" * (len(self.missing) > _MAX_NAMED)
        return (f"no installed font has {named}: figures show the codes of such characters; install one that has them, "
                "e.g. Noto Sans CJK for Chinese, Japanese and Korean")


def fonts_for(texts: Iterable[str]) -> Fonts:
    """Fonts that have the characters of some texts, as far as they are installed."""
    wanted = {character for text in texts for character in text
              if unicodedata.category(character) not in _NO_GLYPH_NEEDED}
    return _fonts_for("".join(sorted(wanted)))


@lru_cache(maxsize=32)
def _fonts_for(characters: str) -> Fonts:
    missing = set(map(ord, characters)) - set(_characters(font_manager.findfont(OWN)))
    families = [OWN]
    if missing:
        _look_for_new_fonts()
    while missing:
        drawn = {family: _drawn(path, missing) for family, path in _installed()}
        best = max(drawn, key=lambda family: len(drawn[family]))
        if not drawn[best]:
            break
        families.append(best)
        missing -= drawn[best]
    return Fonts(tuple(families), "".join(map(chr, sorted(missing))))


def _installed() -> list[tuple[str, str]]:
    """Family and file of upright fonts of ordinary weight, sans serif first: `max` takes the first of equals."""
    found: dict[str, str] = {}
    for entry in font_manager.fontManager.ttflist:
        weight = entry.weight if isinstance(entry.weight, int) else 400
        if entry.style == "normal" and _LIGHT < weight <= _BOLD and not entry.name.startswith("Last Resort"):
            found.setdefault(entry.name, entry.fname)
    return sorted(found.items(), key=lambda item: ("Sans" not in item[0], item[0]))


def _look_for_new_fonts() -> None:
    """Fonts installed since matplotlib wrote its list."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            with contextlib.suppress(Exception):  # a damaged one, or of a kind that matplotlib does not read
                font_manager.fontManager.addfont(path)


@lru_cache(maxsize=4096)
def _characters(path: str) -> frozenset[int]:
    with contextlib.suppress(Exception):  # removed meanwhile, or damaged
        return frozenset(font_manager.get_font(path).get_charmap())
    return frozenset()


def _drawn(path: str, wanted: set[int]) -> frozenset[int]:
    """Those of the characters that a font has as outlines: one of coloured pictures has none that can be scaled."""
    there = _characters(path) & wanted
    if not there or not Path(path).is_file():
        return frozenset()
    try:
        font = font_manager.get_font(path)
        font.set_size(8, 100)
        font.load_char(min(there))
    except Exception:
        return frozenset()
    return there


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


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
