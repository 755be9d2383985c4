"""Names in any script are drawn, or their codes where no font has them, with one note and no warning."""

import unicodedata
import warnings

import pytest
from matplotlib import font_manager

from linksim.report import fonts
from linksim.report.build import build_report


@pytest.fixture
def only_own_font(monkeypatch):
    """As on a machine without any font but matplotlib's."""
    own = [entry for entry in font_manager.fontManager.ttflist if entry.name == fonts.OWN]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    fonts._fonts_for.cache_clear()
    yield
    fonts._fonts_for.cache_clear()


def test_what_matplotlib_itself_has_needs_no_other_font():
    found = fonts.fonts_for(["hold", "μ ∑ é ±", "سلك", "Ψ\u0301", "a\u200db"])
    assert found.families == (fonts.OWN,)
    assert found.note == ""


@pytest.mark.usefixtures("only_own_font")
def test_what_no_font_has_stands_by_its_code_and_is_named_once():
    found = fonts.fonts_for(["基线", "基线 2", "hold"])
    assert found.drawable("基线 2") == "\\u57fa\\u7ebf 2"
    assert found.drawable("hold") == "hold"
    assert "基线:" in found.note
    assert "Noto Sans CJK" in found.note


def test_an_installed_font_with_the_characters_is_found():
    # STIX, which comes with matplotlib, stands for one with more: it has letters that DejaVu Sans lacks
    own, other = (fonts._characters(font_manager.findfont(name)) for name in (fonts.OWN, "STIXGeneral"))
    lacking = next(chr(code) for code in sorted(other - own) if unicodedata.category(chr(code)) in ("Lu", "Ll", "Sm"))
    fonts._fonts_for.cache_clear()
    found = fonts.fonts_for([f"a {lacking}"])
    assert found.missing == ""
    assert len(found.families) == 2
    assert ord(lacking) in fonts._characters(font_manager.findfont(found.families[1]))


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
