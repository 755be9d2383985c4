"""Fonts for names in any script: matplotlib's own first, then whatever is installed and has the missing characters."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from matplotlib import font_manager

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
