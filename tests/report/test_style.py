"""Names in any script are drawn, or their codes where no font has them, with one note and no warning. No two curves
look alike, to any eye, and each looks the same everywhere.
"""

from __future__ import annotations

import unicodedata
import warnings
from itertools import combinations, product

import numpy
import pytest
from matplotlib import font_manager

from linksim.report import style
from linksim.report.build import build_report
from linksim.report.load import PERFECT_CSI, Method
from linksim.report.style import GREYS, PALETTE, line_styles, style_of_run


@pytest.fixture
def only_own_font(monkeypatch):
    """As on a machine without any font but matplotlib's."""
    own = [entry for entry in font_manager.fontManager.ttflist if entry.name == style.OWN]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    style._fonts_for.cache_clear()
    yield
    style._fonts_for.cache_clear()


def test_what_matplotlib_itself_has_needs_no_other_font():
    found = style.fonts_for(["hold", "μ ∑ é ±", "سلك", "Ψ\u0301", "a\u200db"])
    assert found.families == (style.OWN,)
    assert found.note == ""


@pytest.mark.usefixtures("only_own_font")
def test_what_no_font_has_stands_by_its_code_and_is_named_once():
    found = style.fonts_for(["基线", "基线 2", "hold"])
    assert found.drawable("基线 2") == "\\u57fa\\u7ebf 2"
    assert found.drawable("hold") == "hold"
    assert "基线:" in found.note
    assert "Noto Sans CJK" in found.note


def test_an_installed_font_with_the_characters_is_found():
    # STIX, which comes with matplotlib, stands for one with more: it has letters that DejaVu Sans lacks
    own, other = (style._characters(font_manager.findfont(name)) for name in (style.OWN, "STIXGeneral"))
    lacking = next(chr(code) for code in sorted(other - own) if unicodedata.category(chr(code)) in ("Lu", "Ll", "Sm"))
    style._fonts_for.cache_clear()
    found = style.fonts_for([f"a {lacking}"])
    assert found.missing == ""
    assert len(found.families) == 2
    assert ord(lacking) in style._characters(font_manager.findfont(found.families[1]))


@pytest.mark.usefixtures("only_own_font")
def test_a_report_says_what_its_figures_cannot_show(write_run):
    folder = write_run(snr=(0.0, 10.0), speed=(3.0,), methods=[("基线", "method"), ("hold", "method")],
                       metrics=["rate_bps_hz"])
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = build_report([folder], say=said.append)[-1].read_text(encoding="utf-8")
    assert len(said) == 1
    assert said[0].startswith("note: no installed font has 基线")
    assert said[0].removeprefix("note: ") in page
    assert "<th scope=\"row\">基线</th>" in page


# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009:
# linear RGB as the red-blind and the green-blind see it
EYES = {
    "normal": numpy.eye(3),
    "red-blind": numpy.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                              [-0.003882, -0.048116, 1.051998]]),
    "green-blind": numpy.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                                [-0.011820, 0.042940, 0.968881]]),
}


def lab(color, eye):
    """CIELAB of a colour as an eye sees it."""
    rgb = numpy.array([int(color[place:place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = numpy.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = numpy.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ (EYES[eye] @ linear).clip(0, 1) / [0.9505, 1, 1.089]
    f = numpy.where(xyz > 0.008856, numpy.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return numpy.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", EYES)
def test_colours_are_told_apart_by_every_eye_and_from_references(eye):
    seen = {color: lab(color, eye) for color in (*PALETTE, *GREYS[:2])}
    near = {pair: float(numpy.linalg.norm(seen[pair[0]] - seen[pair[1]])) for pair in combinations(seen, 2)}
    assert min(near.values()) > 13, min(near, key=near.get)


def looks(styles, with_marker=False):
    return [(style.color, style.linestyle, style.marker if with_marker else "") for style in styles]


def methods(count, kind="method"):
    return [Method(f"{kind} {number}", kind) for number in range(count)]


def test_no_two_of_sixty_methods_share_colour_and_dashes():
    styles = line_styles([Method(PERFECT_CSI, "reference"), *methods(60), *methods(4, "reference"),
                          *methods(5, "bound")]).values()
    assert len(set(looks(styles))) == 70


def test_beyond_sixty_markers_differ():
    styles = line_styles(methods(600)).values()
    assert len(set(looks(styles, with_marker=True))) == 600


@pytest.mark.parametrize(("num_runs", "num_methods"), [(2, 48), (3, 24), (4, 24), (8, 12)])
def test_no_two_of_several_runs_share_colour_and_dashes(num_runs, num_methods):
    known = line_styles([Method(PERFECT_CSI, "reference"), *methods(num_methods), *methods(2, "reference"),
                         *methods(3, "bound")])
    styles = [style_of_run(style, index, num_runs) for index, style in product(range(num_runs), known.values())
              if style.marker or index < 4]
    assert len(set(looks(styles))) == len(styles)


def test_a_method_keeps_its_look_whatever_comes_after_it():
    few, many = line_styles(methods(5)), line_styles(methods(50))
    assert all(few[name] == many[name] for name in few)
