"""Whatever is done to the files of a run, whoever reads them names the file in one line, or is not misled."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from linksim.core.errors import LinksimError, StoreError
from linksim.experiment.run import run
from linksim.loading.load import scenario_from_dict
from linksim.report.build import render_html
from linksim.report.comparison import compare
from linksim.report.differences import differences
from linksim.report.load import load_run, read_measure
from linksim.report.terminal import final_table, print_differences
from linksim.results.manifest import sealed
from linksim.results.store import Store
from linksim.results.unit_file import RunIdentity, write_unit

SWEPT = {"sweep": {"link.snr_db": [0, 10], "acquisition.type": ["perfect", "awgn"]},
         "metrics": ["nmse_db", "nmse_median_db", "sgcs", "rate_bps_hz"]}


@pytest.fixture(autouse=True)
def quick_bootstrap(monkeypatch):
    """Intervals are not what is tested here."""
    monkeypatch.setattr("linksim.report.differences.RESAMPLES", 10)


@pytest.fixture(scope="module")
def scenario(tiny):
    return scenario_from_dict(tiny(SWEPT))


@pytest.fixture(scope="module")
def whole(scenario, tmp_path_factory) -> Path:
    """A finished run of two units."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    run(scenario, output=folder, report=False)
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "out"))


def read(folder: Path) -> None:
    """Everything that report and compare do with a folder, but for drawing."""
    found = load_run(folder)
    console = Console(file=io.StringIO(), width=90)
    final_table(found, console)
    render_html(compare([found]), [])
    for method in ("hold", "perfect CSI"):
        read_measure(found, "nmse", {"snr_db": 10.0})
        print_differences(differences(found, found, [], (method, "hold")), None, console)


def refused(action, *arguments, **options) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(StoreError) as error:
        action(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- units


def column(name, change):
    def damage(table):
        at = table.column_names.index(name)
        return table.set_column(at, name, change(table[name]))
    return damage


def metadata(change):
    def damage(table):
        about = json.loads(table.schema.metadata[b"linksim"])
        return table.replace_schema_metadata({b"linksim": change(about)})
    return damage


def entry(key, value):
    return metadata(lambda about: json.dumps({**about, key: value}))


UNIT_DAMAGES = {
    "a value": column("nmse", lambda values: pc.multiply(values, pa.scalar(1.5, pa.float32()))),
    "one value of many": column("nmse", lambda values: pa.chunked_array(
        [[*values.to_pylist()[:-1], 0.25]], values.type)),
    "measures as text": column("rate_bps_hz", lambda values: values.cast(pa.string())),
    "infinite": column("rate_bps_hz", lambda values: pa.chunked_array([[float("inf")] * len(values)], values.type)),
    "not a number": column("nmse", lambda values: pa.chunked_array([[float("nan")] * len(values)], values.type)),
    "null": column("nmse", lambda values: pa.chunked_array([[None] * len(values)], values.type)),
    "lists": column("nmse", lambda values: pa.chunked_array([[[1.0]] * len(values)])),
    "another axis value": column("snr_db", lambda values: pc.add(values, 5.0)),
    "axis as text": column("snr_db", lambda values: values.cast(pa.string())),
    "another name": column("method", lambda values: pa.chunked_array([["[/b]"] * len(values)])),
    "another text value": column("type", lambda values: pa.chunked_array([["pilots"] * len(values)])),
    "drops as text": column("drop", lambda values: values.cast(pa.string())),
    "other drops": column("drop", lambda values: pc.add(values, 1)),
    "half the rows": lambda table: table.slice(0, len(table) // 2),
    "no rows": lambda table: table.slice(0, 0),
    "rows twice": lambda table: pa.concat_tables([table, table]),
    "rows in another order": lambda table: table.take(list(range(len(table)))[::-1]),
    "a measure less": lambda table: table.drop_columns(["nmse"]),
    "an axis less": lambda table: table.drop_columns(["snr_db"]),
    "a measure more": lambda table: table.append_column("bler", pa.array([0.5] * len(table))),
    "a column twice": lambda table: table.append_column("nmse", table["nmse"]),
    "columns swapped": lambda table: table.rename_columns(
        {"nmse": "sgcs", "sgcs": "nmse"} | {name: name for name in table.column_names if name not in ("nmse", "sgcs")}),
    "no metadata": lambda table: table.replace_schema_metadata(None),
    "junk metadata": metadata(lambda about: b"\xff{junk"),
    "a list for metadata": metadata(lambda about: json.dumps([about])),
    "metadata nested deeply": metadata(lambda about: "[" * 50_000 + "]" * 50_000),
    "metadata of an older version": metadata(lambda about: json.dumps({"counters": {}, "notes": []})),
    "counters of text": entry("counters", {"reports": "many"}),
    "counters of a list": entry("counters", [1]),
    "counters that are infinite": metadata(lambda about: json.dumps({**about, "counters": {"x": float("inf")}})),
    "notes with markup": entry("notes", ["[/b] [red]"]),
    "notes that are a number": entry("notes", 7),
    "another seed": entry("seed", 2),
    "another chunk": entry("chunk", 1),
    "another scenario": entry("hash", "0" * 64),
    "a newer schema": entry("schema_version", 99),
}


@pytest.mark.parametrize("damage", UNIT_DAMAGES.values(), ids=UNIT_DAMAGES.keys())
def test_a_changed_unit_is_named_by_every_reader(damage, folder, scenario):
    unit = min((folder / "drops").iterdir())
    table = damage(pq.read_table(unit, partitioning=None))
    pq.write_table(table, unit)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for line in (refused(run, scenario, output=folder, report=False), refused(read, folder)):
        assert line.startswith(f"{unit}: ")
        assert "delete it and run again" in line or "update linksim" in line
    assert {path: path.read_bytes() for path in before} == before


def test_a_unit_that_was_deleted_is_made_again(folder, scenario):
    """Which is what the line about a damaged one says to do."""
    unit = min((folder / "drops").iterdir())
    whole = unit.read_bytes()
    unit.unlink()
    run(scenario, output=folder, report=False)
    assert unit.read_bytes() == whole
    read(folder)


@pytest.mark.parametrize(("changes", "words"), [
    ({"seed": 2}, "seed 2, here 1"), ({"channel.speed_kmh": 77}, "scenario"),
    ({"link.precoder": "zf"}, "scenario"), ({"methods": ["hold"]}, "scenario"),
])
def test_a_unit_of_another_run_is_refused_under_any_name(changes, words, folder, scenario, tiny, tmp_path):
    """It is whole and its digest is right: it is another one's all the same."""
    other = tmp_path / "other"
    run(scenario_from_dict(tiny({**SWEPT, **changes})), output=other, report=False)
    unit = max((folder / "drops").iterdir())
    unit.write_bytes(max((other / "drops").iterdir()).read_bytes())
    for line in (refused(run, scenario, output=folder, report=False), refused(read, folder)):
        assert f"{unit}: belongs to another run ({words}" in line


def test_a_unit_of_another_chunk_is_refused(folder, scenario):
    first, second = sorted((folder / "drops").iterdir())
    second.write_bytes(first.read_bytes())
    for line in (refused(run, scenario, output=folder, report=False), refused(read, folder)):
        assert f"{second}: belongs to another run (chunk 0, here 1)" in line


def test_units_beyond_those_wanted_enter_no_result(folder, scenario, tiny):
    """A longer run's units stay for later, and the shorter run's report and comparison do not count them."""
    longer = scenario_from_dict(tiny({**SWEPT, "run.stopping.min_drops": 8}))
    few = differences(load_run(folder), load_run(folder), ["rate_bps_hz"], ("hold", "perfect CSI"))
    run(longer, output=folder, report=False)
    assert len(list((folder / "drops").iterdir())) == 4
    run(scenario, output=folder, report=False)
    assert differences(load_run(folder), load_run(folder), ["rate_bps_hz"], ("hold", "perfect CSI")) == few
    assert len(read_measure(load_run(folder), "rate_bps_hz", {"snr_db": 0.0, "type": "awgn"})["hold"]) == 4


def test_a_unit_of_fewer_drops_is_refused(folder, scenario):
    """Whoever wrote it: a unit holds its whole chunk, so that none of its drops depends on how many are wanted."""
    unit = max((folder / "drops").iterdir())
    manifest = json.loads((folder / "manifest.json").read_text())
    table = pq.read_table(unit)
    label, chunk = unit.stem.split("-")
    short = table.filter(pc.equal(table["drop"], pc.min(table["drop"])))
    write_unit(unit, short, RunIdentity(manifest["hash"], manifest["seed"]), (label, int(chunk)))
    assert f"{unit}: belongs to another run (1 drops, here 2)" in refused(run, scenario, output=folder, report=False)


def test_a_folder_that_looks_like_a_partition_adds_no_column(scenario, whole, tmp_path):
    folder = tmp_path / "snr_db=3" / "out"
    run(scenario, output=folder, report=False)
    assert (folder / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    run(scenario, output=folder, report=False)
    read(folder)


# ---- manifest and table

JUNK = ["text", "[/b] [red]x", "\x1b[31m", "=1+1", "$\\frac{", [], [1], ["text"], [[]], [{}], {}, {"a": 1}, {"a": {}},
        [{"name": 1}], [{"column": "method"}], [{"column": "snr_db", "values": ["a", 1]}], [{"name": "hold"}] * 2,
        0, -1, 1.5, 10**400, True, None]


def written(folder: Path, manifest: dict, how: str) -> None:
    """A manifest by hand: with the digest that it had, with a right one, or as if from before there were any."""
    if how == "older":
        manifest = {key: value for key, value in manifest.items() if key not in ("schema_version", "digest")}
    text = sealed(manifest) if how == "sealed" else json.dumps(manifest)
    (folder / "manifest.json").write_text(text)


def harmless(action, *arguments, **options) -> bool:
    """Whether an action goes through; else it says in one line why not."""
    with contextlib.suppress(LinksimError):
        action(*arguments, **options)
        return True
    with pytest.raises(LinksimError) as error:
        action(*arguments, **options)
    assert "\n" not in str(error.value)
    return False


@pytest.mark.slow
def test_no_entry_of_a_manifest_ends_in_a_traceback(folder, scenario):
    """Every key with values of every kind: refused in one line, or harmless."""
    manifest = json.loads((folder / "manifest.json").read_text())
    refusals = 0
    for key in manifest:
        for value in JUNK:
            written(folder, {**manifest, key: value}, "older")
            if not harmless(load_run, folder):
                refusals += 1
            elif key in ("axes", "methods", "metrics", "scenario", "horizon_s", "conventions", "notes", "wall_time_s"):
                harmless(read, folder)
    assert refusals > 200
    table = (folder / "metrics.csv").read_bytes()
    for key in ("hash", "scenario_name", "status", "versions", "device", "notes", "wall_time_s", "num_drops"):
        written(folder, {name: old for name, old in manifest.items() if name != "digest"} | {key: {"a": ["[/b]"]}},
                "sealed")
        harmless(run, scenario, output=folder, report=False)
    written(folder, manifest, "edited")
    run(scenario, output=folder, report=False)
    assert (folder / "metrics.csv").read_bytes() == table


@pytest.mark.parametrize("text", [
    "", "{", "[]", "7", "null", '"text"', "[" * 100_000, '{"a":' * 100 + "1" + "}" * 100, '{"seed": NaN}',
    '{"wall_time_s": Infinity}', '{"wall_time_s": 1e999}', '{"seed": ' + "9" * 5000 + "}",
    '{"status": "\\ud800"}', "\xff",
])
def test_a_manifest_that_is_none_is_named(text, folder, scenario):
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    for line in (refused(run, scenario, output=folder, report=False), refused(read, folder)):
        assert f"{folder / 'manifest.json'}: damaged" in line
        assert "finished units are kept" in line


@pytest.mark.parametrize(("key", "value"), [
    ("seed", 2), ("status", "partial"), ("notes", ["nothing to see"]), ("metrics", ["nmse_db"]), ("wall_time_s", 1.0),
    ("description", "mine"), ("hash", "0" * 64), ("metrics_sha256", "0" * 64), ("extra", 1), ("schema_version", 99),
])
def test_a_manifest_edited_by_hand_is_told(key, value, folder, scenario):
    manifest = json.loads((folder / "manifest.json").read_text())
    written(folder, {**manifest, key: value}, "edited")
    for line in (refused(run, scenario, output=folder, report=False), refused(read, folder)):
        assert f"{folder / 'manifest.json'}: " in line
        assert "changed after linksim wrote it" in line or "newer linksim" in line


@pytest.mark.parametrize("change", [
    lambda text: text.replace("hold", "[/b]", 1), lambda text: text + text.splitlines()[-1] + "\n",
    lambda text: "\n".join(text.splitlines()[:-1]), lambda text: "", lambda text: text.replace("0.", "1.", 1),
])
def test_a_table_edited_by_hand_is_told_and_written_anew(change, folder, scenario):
    path = folder / "metrics.csv"
    whole = path.read_text()
    path.write_text(change(whole))
    assert str(path) in refused(read, folder)
    run(scenario, output=folder, report=False)
    assert path.read_text() == whole


def test_a_run_of_an_older_linksim_is_read_but_not_mixed_with_a_new_one(folder, scenario):
    manifest = json.loads((folder / "manifest.json").read_text())
    for key in ("num_drops", "metrics_sha256"):
        del manifest[key]
    written(folder, manifest, "older")
    for unit in (folder / "drops").iterdir():
        pq.write_table(metadata(lambda about: json.dumps({"counters": {}, "notes": []}))(pq.read_table(unit)), unit)
    read(folder)
    line = refused(run, scenario, output=folder, report=False)
    assert "of an older linksim" in line
    assert "--fresh" in line
    run(scenario, output=folder, report=False, fresh=True)
    read(folder)


def test_a_manifest_that_is_lost_is_made_again_from_the_units(folder, scenario, tiny):
    (folder / "manifest.json").unlink()
    other = scenario_from_dict(tiny({**SWEPT, "seed": 2}))
    assert "belongs to another scenario" in refused(run, other, output=folder, report=False)
    before = (folder / "metrics.csv").read_bytes()
    run(scenario, output=folder, report=False)
    assert (folder / "metrics.csv").read_bytes() == before


def test_units_say_who_they_are(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    with Store(folder, manifest["hash"], manifest["seed"]) as store:
        for (label, chunk), path in store.units().items():
            about = store.read_unit(path)[1]
            assert (about.hash, about.seed, about.channel_point, about.chunk, about.num_drops) == \
                (manifest["hash"], 1, label, chunk, 2)
