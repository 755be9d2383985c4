"""Texts of users and files are printed as they stand, in any encoding, and never act on the terminal."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from rich.progress import BarColumn, Progress, TextColumn

import linksim
from linksim.cli import main
from linksim.core.printing import cell, make_console, one_line, prepare_streams, printable, say, visible, write

PACKAGE = Path(linksim.__file__).parent
HOSTILE = ["ridge [/b]", "GRU [few-shot]", "[red]x[/]", ":smile: {0} %s", "$x$ _a^{2} \\frac{", "基线 ±… é"]
ENCODINGS = ["utf-8", "cp1252", "ascii", "gbk", "latin-1", "cp437", "utf-16"]


@pytest.fixture
def streams(monkeypatch):
    """Standard output and error of an encoding, as an interpreter opens them; what was written, as text."""

    def open_them(encoding):
        raw = {}
        for name in ("stdout", "stderr"):
            raw[name] = io.BytesIO()
            monkeypatch.setattr(sys, name, io.TextIOWrapper(raw[name], encoding=encoding, errors="strict"))

        def written():
            for name in raw:
                getattr(sys, name).flush()
            return [raw[name].getvalue().decode(encoding) for name in raw]

        return written

    return open_them


@pytest.fixture
def without_figures(monkeypatch):
    build = types.ModuleType("linksim.report.build")
    build.build_report = lambda folders, output=None, say=None: []
    monkeypatch.setitem(sys.modules, build.__name__, build)


@pytest.mark.parametrize(("text", "shown"), [
    ("a\x1b[31mb", "a\\x1b[31mb"), ("a\nb\tc\r", "a\\nb\\tc\\r"), ("\x00\x07\x9b", "\\x00\\x07\\x9b"),
    ("abc\u202edcb\u2066", "abc\\u202edcb\\u2066"), ("\ufeffa\u200bb\u2028", "\\ufeffa\\u200bb\\u2028"),
    ("x\udcff", "x\\udcff"), ("\udce5\udc9f\udcba", "基"),
    ("基线 سلك 👩‍👩‍👧 é ±", "基线 سلك 👩‍👩‍👧 é ±"), ("\\n", "\\n"),
])
def test_what_would_act_on_a_terminal_is_shown_and_all_else_left_alone(text, shown):
    assert visible(text) == shown


def test_one_line_is_one_line():
    assert one_line("a\n  b\x1b\u2028c") == "a b\\x1b c"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_printed_as_it_is_even_on_a_console_with_markup(text):
    from rich.console import Console

    for console in (make_console(file=io.StringIO()), Console(file=io.StringIO(), width=100)):
        say(console, text)
        console.print(cell(text, console))
        assert console.file.getvalue().splitlines() == [text, text]


def test_long_lines_are_left_whole():
    console = make_console(file=io.StringIO(), width=20)
    say(console, "/a/path/" + "x" * 100)
    assert console.file.getvalue() == "/a/path/" + "x" * 100 + "\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_everything_can_be_printed_in_every_encoding(streams, encoding):
    written = streams(encoding)
    prepare_streams()
    console = make_console(force_terminal=True)
    write("−1.5 ± 0.3 …", *HOSTILE)
    write("基\udcff", to_stderr=True)
    say(console, "−3 – ∞ 基线")
    with Progress(TextColumn("{task.description}", markup=False), BarColumn(), console=console) as progress:
        progress.add_task("基线 [/b]", total=2, completed=1)
    out, err = written()
    assert "[/b]" in out
    assert err.endswith("\\udcff\n")
    lacks_minus = "−" not in out
    assert lacks_minus == (encoding in ("cp1252", "ascii", "gbk", "latin-1", "cp437"))
    if lacks_minus:
        assert "-1.5" in out
        assert "-3 - inf" in out


def test_a_stream_that_is_none_or_cannot_be_changed_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    prepare_streams()
    write("x")


@pytest.mark.parametrize("encoding", ["ascii", "gbk"])
def test_columns_stay_aligned_where_symbols_are_missing(encoding):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = make_console(file=file)
    assert printable("−1 ± 2", console) == "-1 +- 2"
    assert printable("基", console) == ("基" if encoding == "gbk" else "\\u57fa")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "gbk"])
@pytest.mark.parametrize("arguments", [["blocks"], ["blocks", "cdg"], ["--help"], ["run", "基线−.yaml"],
                                       ["run", "--\x1b[31m"]])
def test_commands_that_answer_at_once_work_in_every_encoding(streams, encoding, arguments):
    written = streams(encoding)
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    out, err = written()
    assert code == (2 if arguments[0] == "run" else 0)
    assert "\x1b" not in out + err
    assert err.count("\n") == (code != 0)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.usefixtures("without_figures")
def test_a_run_with_hostile_names_ends_well_in_every_encoding(streams, encoding, scenario_file, tmp_path):
    methods = ["perfect CSI", *({"name": name, "predictor": "hold"} for name in HOSTILE)]
    path = scenario_file({"methods": methods, "description": "[/x] \x1b[31m −", "bounds": []})
    written = streams(encoding)
    assert main(["run", str(path), "--output", str(tmp_path / "out" / "[" / "x]")]) == 0
    out, err = written()
    assert err == ""
    assert "\x1b" not in out
    table = out.partition("NMSE (dB)")[2]
    for name in HOSTILE[:-1]:
        assert name in table
    assert str(tmp_path / "out" / "[" / "x]" / "metrics.csv") in out


@pytest.mark.parametrize("name", ["a\x1b[31m", "a\nb", "a\tb", "a\u202eb", "a\x00b", "\u200b", "\x7f"])
def test_a_method_name_with_hidden_characters_is_refused(command, scenario_file, name):
    outcome = command("validate", scenario_file({"methods": ["hold", {"name": name, "predictor": "hold"}]}))
    assert outcome.code == 2
    assert "methods.1" in outcome.line
    assert outcome.line.isprintable()


@pytest.mark.parametrize(("key", "text"), [
    ("description", '"a\\ud800b"'), ("training", '{folder: "a\\0b"}'), ("plugins", '["a\\0.py"]'),
    ("channel", '{source: files, files: {path: "x\\0.mat"}}'), ('"a\\ud800"', "1"),
])
def test_what_no_file_can_hold_is_refused_with_its_place(command, scenario_file, key, text):
    outcome = command("validate", scenario_file(f"methods: [hold]\n{key}: {text}\n"))
    assert outcome.code == 2
    assert "cannot be written to any file" in outcome.line
    assert ".yaml:" in outcome.line


def test_an_error_shows_control_characters_of_a_path(command, tmp_path):
    outcome = command("run", tmp_path / "a\x1b[31mb\u202e.yaml")
    assert outcome.code == 2
    assert "a\\x1b[31mb\\u202e.yaml" in outcome.line


@pytest.fixture(scope="module")
def calls():
    """Every call of the package's own code, with its place and the name of what is called."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                found.append((path.relative_to(PACKAGE).as_posix(), node, name))
    return found


def is_text(node):
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


@pytest.mark.parametrize(("verb", "said"), [
    ("validate", "\\u57fa\\u7ebf.yaml: valid"),
    pytest.param("run", "which lacks \\u57fa\\u7ebf: set PYTHONUTF8=1", marks=pytest.mark.slow),
])
def test_paths_on_a_system_that_is_not_set_to_utf8(verb, said, tmp_path, scenario_file):
    scenario = scenario_file({"name": "基线"}, "基线.yaml")
    process = subprocess.run(
        [sys.executable, "-m", "linksim", verb, scenario.name], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0",
                          "PYTHONPATH": os.pathsep.join(sys.path)})
    assert said in process.stdout + process.stderr
    assert "Traceback" not in process.stderr
    assert list(tmp_path.iterdir()) == [scenario]


def test_nothing_is_printed_but_through_this_module(calls):
    """``print``, markup and consoles of one's own: each would print a user's text in its own way."""
    faults = []
    for path, node, name in calls:
        given = [keyword.arg for keyword in node.keywords]
        if path != "core/printing.py" and (
                name in ("print_exception", "print_exc", "from_markup")
                or (name == "print" and (isinstance(node.func, ast.Name) or any(map(is_text, node.args))))
                or (name == "add_row" and any(map(is_text, node.args)))
                or (name == "Console" and given != ["quiet"])
                or (name == "TextColumn" and "markup" not in given and "{" in str(node.args[0].value))):
            faults.append(f"{path}:{node.lineno}: {name}")
    assert not faults, "\n".join(faults)


def test_every_text_file_is_opened_with_its_encoding_named(calls):
    faults = []
    for path, node, name in calls:
        texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        named = "utf-8" in texts or any(keyword.arg == "encoding" for keyword in node.keywords)
        binary = any("b" in str(text) for text in texts)
        is_open = name == "open" and (isinstance(node.func, ast.Name) or ast.unparse(node.func.value).endswith("path"))
        is_text_file = name in ("write_text", "read_text") and isinstance(node.func, ast.Attribute) \
            and not ast.unparse(node.func.value).endswith("store")
        if not named and ((is_open and not binary) or is_text_file):
            faults.append(f"{path}:{node.lineno}: {name}")
    assert not faults, "\n".join(faults)
