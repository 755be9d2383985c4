"""What linksim prints: texts of users and files as they stand, on any terminal and in any encoding.

Names, paths and values come from scenario files, folders and other people's manifests. `say` and `cell` print them
literally: brackets are no markup, ``:smile:`` is no picture, and a character that would act on the terminal instead of
standing on it is shown by its escape.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import re
import sys
import traceback
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

LOG_WIDTH = 110
"""Columns of a log file, which has no width of its own."""

_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # controls: escape sequences, line ends, tabs
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # reorder the text around them
    "\u200b\u2028\u2029\u2060\ufeff\ufff9-\ufffb"  # no width, or another line
    "\ud800-\udfff]")  # halves of characters: bytes of a path that are no text

_PLAIN = str.maketrans({
    "−": "-", "–": "-", "—": "-", "‑": "-", "±": "+-", "…": "...", "×": "x", "·": "*", "∞": "inf", "≤": "<=", "≥": ">=",
    "≈": "~", "→": "->", "°": " deg", "µ": "u", "μ": "u", "²": "2", "³": "3", "“": '"', "”": '"', "‘": "'", "’": "'",
    "─": "-", "━": "-", "╸": "-", "╺": "-", "│": "|", "├": "|", "└": "`", "╰": "`", "╭": ",", "•": "*", "\u202f": " ",
    "\u00a0": " ",
})
_PLAIN_ERRORS = "linksim_plain"


def visible(text: str, keep: str = "") -> str:
    r"""The text with every character that acts instead of being seen as its escape: ``\x1b``, ``\n``, ``\u202e``.

    :param keep: such characters to leave as they are.
    """
    with contextlib.suppress(UnicodeError):  # a path in UTF-8 on a system set to another encoding is a text after all
        text = text.encode("utf-8", "surrogateescape").decode("utf-8")
    return _HIDDEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def hidden_character(text: str) -> str | None:
    """The first character of a text that `visible` would replace, as its escape."""
    found = _HIDDEN.search(text)
    return _escape(found[0]) if found else None


def one_line(text: str) -> str:
    """A message as one line."""
    return visible(" ".join(text.split()))


def prepare_streams() -> None:
    """Let standard output and error take every character, whatever their encoding (cp1252, gbk, ASCII, …).

    What the encoding lacks is written in plain letters (``-`` for the minus sign, ``+-``), else as its escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else none, or one that is no file
            with contextlib.suppress(ValueError):  # closed
                stream.reconfigure(errors=_PLAIN_ERRORS)


def make_console(**options: Any) -> Console:
    """A console for `say`; a file or pipe is `LOG_WIDTH` columns wide.

    :param options: of `rich.console.Console`.
    """
    from rich.console import Console  # start-up

    console = Console(markup=False, emoji=False, highlight=False, **options)
    if not console.is_terminal and "width" not in options:
        console = Console(markup=False, emoji=False, highlight=False, width=LOG_WIDTH, **options)
    return console


def printable(text: str, console: Console) -> str:
    """The text as it will stand on a console: in plain letters if need be, so that columns stay aligned."""
    text, encoding = visible(text), console.encoding
    if _has_symbols(encoding):
        return text
    return text.translate(_PLAIN).encode(encoding, _PLAIN_ERRORS).decode(encoding)


def cell(text: str, console: Console, style: str = "") -> Text:
    """A text for a table, a column or a message on a console."""
    from rich.text import Text  # start-up

    return Text(printable(text, console), style)


def say(console: Console, text: str, style: str = "", end: str = "\n") -> None:
    """Print one message, unbroken: lines that are too long are the terminal's to wrap."""
    console.print(cell(text, console, style), soft_wrap=True, end=end)


def write(*lines: str, to_stderr: bool = False) -> None:
    """Print lines without a console: for commands that answer at once, and for errors."""
    stream = sys.stderr if to_stderr else sys.stdout
    if stream is not None:
        print(*map(visible, lines), sep="\n", file=stream, flush=True)


def write_traceback(error: BaseException) -> None:
    """The traceback of an exception, on standard error."""
    if sys.stderr is not None:
        print(visible("".join(traceback.format_exception(error)), keep="\n"), end="", file=sys.stderr, flush=True)


@cache
def _has_symbols(encoding: str) -> bool:
    """All that tables use, so that a table does not mix them with their stand-ins."""
    try:
        "−±–…∞".encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Handler of characters that an encoding lacks, for `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start:error.end])), error.end


def _plain(character: str) -> str:
    plain = character.translate(_PLAIN)
    if plain.isascii():
        return plain
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode("ascii")
    return letters if letters.isprintable() and letters else _escape(character)


codecs.register_error(_PLAIN_ERRORS, _in_plain_letters)
