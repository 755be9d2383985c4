"""The page, the tables and the terminal's summary."""

import io
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from linksim.core.errors import StoreError
from linksim.report.build import build_report
from linksim.report.comparison import compare
from linksim.report.load import load_run
from linksim.report.tables import metric_tables
from linksim.report.terminal import final_table

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects references and checks that elements nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.references, self.tags = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def printed(run, width=100):
    console = Console(file=io.StringIO(), width=width)
    final_table(run, console)
    return console.file.getvalue()


def test_the_page_is_self_contained_and_complete(write_run, methods):
    folder = write_run(
        snr=(0.0, 10.0), speed=(3.0,), status="partial", methods=methods[:4],
        missing=lambda method, snr, speed: snr == 10.0, description="see https://example.org/paper",
    )
    written = build_report([folder])
    assert written[-1] == folder / "report.html"
    assert all(path.is_file() for path in written)
    assert not list(folder.rglob("*.tmp"))
    text = written[-1].read_text(encoding="utf-8")
    page = Page(text)
    assert page.references
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    assert not re.search(r"@import|url\(", text)
    assert "script" not in page.tags
    for needed in ("The run is not finished", "1 of 2 sweep points", "Pilots are sparser", "Transmit power",
                   "12 min 34 s", "linksim 0.1.0", "9f2c1a7e44b0", "squared generalised cosine", "−∞",
                   "What hold does.", "# &lt;b&gt;as written"):
        assert needed in text


def test_hostile_text_is_escaped(write_run):
    evil = "<script>alert(1)</script>"
    folder = write_run(
        snr=(0.0, 10.0), speed=(3.0,), description=evil, methods=[(evil, "method"), ("hold", "reference")],
        notes=[evil, "\x1b\u202e"], status=evil, scenario_name=evil, scenario_text=f"</pre>{evil}",
        conventions={evil: '"><img src=x>'}, versions={"a": evil}, command=evil,
        metrics=["rate_bps_hz", evil],
    )
    text = build_report([folder])[-1].read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert "&lt;script&gt;" in text
    assert "<li>\\x1b\\u202e</li>" in text
    assert all(reference.startswith("data:") for reference in page.references)


def test_a_bare_manifest_still_gives_a_page(write_run, methods):
    folder = write_run(snr=(0.0, 10.0), speed=(3.0,), methods=methods[:3])
    (folder / "manifest.json").write_text("{}")
    Page(build_report([folder])[-1].read_text(encoding="utf-8"))


def test_tables_alone_give_all_but_distributions(write_run, methods):
    folder = write_run(snr=(0.0, 10.0), speed=(3.0,), methods=methods[:3], metrics=["rate_bps_hz"])
    shutil.rmtree(folder / "drops")
    written = {path.name for path in build_report([folder])}
    assert written == {"report.html", *(f"{stem}.{kind}" for stem in ("rate_bps_hz_vs_snr_db", "nmse_vs_horizon")
                                        for kind in ("png", "pdf"))}


def test_two_runs_go_to_the_report_folder(write_run, tmp_path, monkeypatch, methods):
    monkeypatch.chdir(tmp_path)
    options = {"snr": (0.0, 10.0), "speed": (3.0,), "methods": methods[:3], "metrics": ["rate_bps_hz"]}
    written = build_report([write_run("a", **options), write_run("b", **options)])
    assert written[-1] == Path("report/report.html")
    text = written[-1].read_text(encoding="utf-8")
    Page(text)
    assert "Wiener (a)" in text
    assert "Wiener (b)" in text
    assert not (tmp_path / "a" / "report.html").exists()


def test_errors_are_one_line(write_run, tmp_path, methods):
    with pytest.raises(StoreError, match="nothing to report"):
        build_report([])
    folder = write_run(snr=(0.0, 10.0), speed=(3.0,), methods=methods[:2], metrics=["rate_bps_hz"])
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write") as caught:
        build_report([folder], tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_tables_hold_value_and_half_interval(write_run):
    gap = {"missing": lambda method, snr, speed: method == "PAD" and snr == 0}
    run = load_run(write_run(snr=(0.0, 10.0), **gap))
    nmse = metric_tables(compare([run]), "nmse_db")
    assert len(nmse) == 1
    frame = nmse[0].to_pandas()
    assert list(frame.columns) == ["UE speed (km/h): 3", "30", "60", "120"]
    assert frame.loc["perfect CSI", "30"] == "−∞"
    assert re.fullmatch(r"−\d+\.\d\d ± 0\.30", frame.loc["hold", "30"])
    rate = metric_tables(compare([run]), "rate_bps_hz")
    assert len(rate) == 4, "a table for each panel"
    assert rate[1].title == "Achievable rate per user (bit/s/Hz), UE speed = 30 km/h"
    assert rate[0].to_pandas().loc["PAD"].iloc[0] == "–"


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_the_terminal_table_fits_and_names_its_point(write_run, width, methods):
    run = load_run(write_run())
    text = printed(run, width)
    assert max(map(len, text.splitlines())) <= min(width, 100)
    assert "SNR = 10 dB, UE speed = 30 km/h" in text
    assert "perfect CSI" in text
    assert all(name in text for name, _ in methods)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_terminal_clips_nothing(write_run, width):
    names = ["x" * 60, "a method of many words that is longer than a column", "hold"]
    run = load_run(write_run(methods=[(name, "method") for name in names]))
    text = printed(run, width)
    assert "…" not in text
    assert text.count("x") >= 60
    whole = " ".join(text.split())
    assert "NMSE (dB)" in whole
    assert "SGCS" in whole
    assert whole.count("Achievable") == 2, "a column that does not fit stands below"


def test_tables_have_the_best_on_top(write_run):
    run = load_run(write_run(snr=(0.0, 10.0), speed=(3.0, 120.0)))
    comparison = compare([run])
    for name, sign in (("nmse_db", -1), ("rate_bps_hz", 1)):
        for table in metric_tables(comparison, name):
            last = table.to_pandas().iloc[:, -1].str.split(" ").str[0].str.replace("−", "-").str.replace("∞", "inf")
            values = sign * last.astype(float)
            assert values.is_monotonic_decreasing, "by the right edge"
    lines = [line for line in printed(run).splitlines() if line]
    place = {name: next(number for number, line in enumerate(lines) if line.startswith(name))
             for name in ("sum capacity", "perfect CSI", "GRU", "genie LMMSE bound")}
    assert place["sum capacity"] < place["perfect CSI"] < place["GRU"], "by the metric that most have"


def test_the_terminal_table_of_one_metric_runs_over_its_axis(write_run):
    run = replace(load_run(write_run()), shown=("rate_bps_hz",))
    text = printed(run, 80)
    assert "SNR (dB): −10" in text
    assert "columns; all are in metrics.csv" in " ".join(text.split())


def test_the_terminal_prints_brackets_as_they_are_and_survives_an_empty_run(write_run):
    options = {"snr": (0.0, 10.0), "speed": (3.0,)}
    run = load_run(write_run(methods=[("[red]x[/]", "method"), ("y" * 80, "method")], **options))
    assert "[red]x[/]" in printed(run)
    empty = load_run(write_run("empty", missing=lambda method, snr, speed: True, **options))
    assert "No results yet" in printed(empty)


def test_the_layer_needs_no_torch():
    code = ("import sys, linksim.report.build, linksim.report.terminal; "
            "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
