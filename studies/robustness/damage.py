"""Damaged files: results, checkpoints and channel files whose content was changed, cut off or mixed up."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from studies.robustness.inputs import BASE
from studies.robustness.kills import _LEARNING
from studies.robustness.trial import DONE, REFUSED, Ended, try_command

BELIEVED = "believed: other results"

_OTHERS: tuple[Any, ...] = (None, True, "[/b] x", [], {}, [[[[1]]]], -1, 1e300, math.inf, {"a": {"b": []}}, "\u202e")


def damage_each(folder: Path, num_each: int, seed: int, say: Callable[[str], None]
                ) -> tuple[dict[str, Counter[str]], list[str]]:
    """Damage every kind of file and give it to the commands that read it.

    :param num_each: changes of each file, drawn from all that are known.
    :returns: counts by kind of file and command, and a line for every one that was believed or ended in a traceback.
    """
    chosen = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    whole = folder / "whole"
    whole.mkdir(parents=True)
    _write(whole / "run.yaml", {**BASE, "sweep": {"link.snr_db": [0, 10]}})
    _write(whole / "learn.yaml", _LEARNING)
    _write(whole / "files.yaml", {**BASE, "bounds": [], "channel": {"source": "files", "files": {"path": "drops.h5"}}})
    for arguments in (["run", "run.yaml", "--output", "out"], ["run", "learn.yaml", "--output", "learned"],
                      ["dataset", "run.yaml", "--num-drops", "4", "--out", "drops.h5", "--set", "sweep={}"],
                      ["run", "files.yaml", "--output", "from_files"]):
        end = try_command(arguments, whole)
        if end.how != DONE:
            raise RuntimeError(f"{arguments}: {end.said}")
    manifest = whole / "out" / "manifest.json"
    unit = sorted((whole / "out" / "drops").glob("*.parquet"))[0]
    about = sorted((whole / "checkpoints").glob("gru-*/about.json"))[0]
    solved = sorted((whole / "checkpoints").glob("ridge-*/about.json"))[0]
    again = {"run": ["run", "run.yaml", "--output", "out"], "report": ["report", "out"],
             "compare": ["compare", "out", "out"]}
    learned = {"run": ["run", "learn.yaml", "--output", "anew"]}
    files = {"run": ["run", "files.yaml", "--output", "anew"]}
    plans: list[tuple[str, Path, list[tuple[str, bytes]], dict[str, list[str]], str, str]] = [
        ("manifest.json", manifest, [*_json_changes(manifest), *_cuts(manifest)], again, "out", "out"),
        ("drops/*.parquet", unit, [*_unit_changes(unit), *_cuts(unit)], again, "out", "out"),
        ("about.json (GRU)", about, [*_json_changes(about), *_cuts(about)], learned, "anew", "learned"),
        ("about.json (ridge)", solved, [*_json_changes(solved), *_cuts(solved)], learned, "anew", "learned"),
        ("weights (GRU)", about.with_name("weights.safetensors"), [
            *_weight_changes(about.with_name("weights.safetensors")),
            *_cuts(about.with_name("weights.safetensors"))], learned, "anew", "learned"),
        ("weights (ridge)", solved.with_name("weights.safetensors"), [
            *_weight_changes(solved.with_name("weights.safetensors")),
            *_cuts(solved.with_name("weights.safetensors"))], learned, "anew", "learned"),
        ("channels .h5", whole / "drops.h5", [*_hdf5_changes(whole / "drops.h5"), *_cuts(whole / "drops.h5")], files,
         "anew", "from_files"),
    ]
    counts: dict[str, Counter[str]] = {}
    faults: list[str] = []
    for kind, path, changes, commands, written, reference in plans:
        expected = _values(whole / reference)
        count = counts[kind] = Counter()
        for what, content in chosen.sample(changes, min(num_each, len(changes))):
            for name, arguments in commands.items():
                own = folder / "damaged"
                shutil.rmtree(own, ignore_errors=True)
                shutil.copytree(whole, own)
                (own / path.relative_to(whole)).write_bytes(content)
                end = try_command(arguments, own)
                count["inputs"] += 1
                if end.how == DONE and name == "run" and _values(own / written) != expected:
                    end = Ended(BELIEVED)
                count[end.how] += 1
                if end.how not in (DONE, REFUSED):
                    faults.append(f"{kind}, {what}, {name}: {end.how}: {' '.join(end.said.split())[-400:]}")
        say(f"{kind}: {count['inputs']} tried")
    shutil.rmtree(folder, ignore_errors=True)
    return counts, faults


def _write(path: Path, scenario: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")


def _values(folder: Path) -> list[tuple[Any, ...]] | None:
    """What ``metrics.csv`` says, to nine digits."""
    if not (folder / "metrics.csv").exists():
        return None
    table = pd.read_csv(folder / "metrics.csv", keep_default_na=False, na_values=[""])
    return [tuple(f"{cell:.9g}" if isinstance(cell, float) else cell for cell in row)
            for row in table.itertuples(False)]


def _cuts(path: Path) -> Iterator[tuple[str, bytes]]:
    content = path.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9):
        yield f"cut to {share:g}", content[:int(share * len(content))]
    for place in (0, 4, len(content) // 3, len(content) // 2, len(content) - 5):
        yield f"byte {place} turned", content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1:]
    yield "noise", random.Random(len(content)).randbytes(1000)
    yield "more at the end", content + b"\0" * 100


def _json_changes(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every value replaced by others, every key left out, and documents that are none."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    for where in _places(whole, ()):
        for other in (*_OTHERS, ...):
            changed = json.loads(json.dumps(whole))
            node = changed
            for part in where[:-1]:
                node = node[part]
            if other is ...:
                del node[where[-1]]
            else:
                node[where[-1]] = other
            yield f"{'.'.join(map(str, where))} = {other!r}", json.dumps(changed).encode()
    for other in ("[]", "null", "3", '"x"', "[" * 20000, "{", '{"a": 1' + "0" * 5000 + "}"):
        yield f"all of it {other[:10]}", other.encode()


def _places(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node[:3]) if isinstance(node, list) else ()
    for key, child in items:
        yield (*path, key)
        yield from _places(child, (*path, key))


def _unit_changes(path: Path) -> Iterator[tuple[str, bytes]]:
    """Columns and metadata of a unit changed, and written as a valid file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def content(table: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        return sink.getvalue().to_pybytes()

    table = pq.read_table(path)
    for name in table.column_names:
        place = table.column_names.index(name)
        yield f"{name} left out", content(table.drop_columns([name]))
        yield f"{name} as text", content(table.set_column(place, name, pa.array(["[/b]"] * len(table))))
        yield f"{name} as lists", content(table.set_column(place, name, pa.array([[1.0]] * len(table))))
        yield f"{name} empty", content(table.set_column(place, name, pa.nulls(len(table))))
        if pa.types.is_floating(table.schema.field(name).type):
            yield f"{name} doubled", content(table.set_column(place, name, pa.array(
                [None if v is None else 2 * v for v in table[name].to_pylist()])))
            yield f"{name} infinite", content(table.set_column(place, name, pa.array([math.inf] * len(table))))
    yield "half of the rows", content(table.slice(0, len(table) // 2))
    yield "no rows", content(table.slice(0, 0))
    yield "rows twice", content(pa.concat_tables([table, table]))
    for key, value in (table.schema.metadata or {}).items():
        for other in (b"", b"[]", b"null", b"\xff\xfe", b"[/b]", b'{"notes": "[/b]", "counters": [1]}', value[:-3],
                      value.replace(b"0", b"1")):
            if other != value:
                yield f"metadata {key!r} = {other[:30]!r}", content(
                    table.replace_schema_metadata({**table.schema.metadata, key: other}))
    yield "no metadata", content(table.replace_schema_metadata(None))


def _weight_changes(path: Path) -> Iterator[tuple[str, bytes]]:
    """Tensors of another shape, type or value, missing and too many."""
    import numpy as np
    import safetensors.numpy as st
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    for name, tensor in tensors.items():
        for what, other in (("a row more", np.concatenate([np.atleast_1d(tensor)] * 2)),
                            ("doubles", tensor.real.astype(np.float64)), ("integers", tensor.real.astype(np.int64)),
                            ("not a number", np.full_like(tensor, np.nan) if tensor.dtype.kind == "f" else tensor * 0),
                            ("empty", tensor.reshape(-1)[:0]), ("flat", tensor.reshape(-1, 1))):
            yield f"{name}: {what}", st.save({**tensors, name: np.ascontiguousarray(other)}, metadata)
        yield f"{name} missing", st.save({n: t for n, t in tensors.items() if n != name}, metadata)
    yield "one too many", st.save({**tensors, "more": np.zeros(3, np.float32)}, metadata)


def _hdf5_changes(path: Path) -> Iterator[tuple[str, bytes]]:
    """Data sets left out, of other shapes and values, attributes changed."""
    import io

    import h5py
    import numpy as np

    with h5py.File(path) as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        attributes = list(file.attrs)

    def content(change: Callable[[h5py.File], None]) -> bytes:
        buffer = io.BytesIO(path.read_bytes())
        with h5py.File(buffer, "r+") as file:
            change(file)
        return buffer.getvalue()

    def put(name: str, make: Callable[[Any], Any]) -> Callable[[h5py.File], None]:
        def change(file: h5py.File) -> None:
            value = make(file[name][()])
            del file[name]
            file[name] = value
        return change

    for name in names:
        yield f"{name} left out", content(lambda file, name=name: file.__delitem__(name))
        for what, make in (("not a number", lambda v: np.full(np.shape(v), np.nan)),
                           ("1e30", lambda v: np.full(np.shape(v), 1e30)),
                           ("negative", lambda v: np.full(np.shape(v), -1)),
                           ("shorter", lambda v: np.atleast_1d(v)[:1]), ("flat", lambda v: np.ravel(v)),
                           ("text", lambda v: "x"), ("empty", lambda v: np.atleast_1d(v)[:0])):
            yield f"{name}: {what}", content(put(name, make))
    for name in attributes:
        for other in ("x", -1, np.nan, "[]", "{}", "null", '{"a": [[[]]]}', [1, 2, 3]):
            yield f"attribute {name} = {other!r}", content(
                lambda file, name=name, other=other: file.attrs.__setitem__(name, other))
        yield f"attribute {name} left out", content(lambda file, name=name: file.attrs.__delitem__(name))
