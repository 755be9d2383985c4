"""Headers, arrays and tables that somebody has been at: read, or refused in one line that names the file."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from linksim.channel.files.linksim_layout import open_linksim
from linksim.channel.source import chunk_of_drops
from linksim.core.errors import LinksimError

JUNK = [None, "text", "[/bold]", [], {}, -1, 0, 2.5, 1e308, 10**30, True, [[["x"]]], {"a": {"b": [1]}}, float("nan")]
GONE = object()


def places(node, at=()):
    """Every place in nested dictionaries and lists, of lists the first items."""
    if at:
        yield at
    for key, value in node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, list) else ():
        yield from places(value, (*at, key))


def changed_at(node, at, value):
    node = copy.deepcopy(node)
    inner = node
    for key in at[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[at[-1]]
    else:
        inner[at[-1]] = value
    return node


@pytest.fixture
def whole(exported):
    """A file with rays and two channel points, as arrays, and its header."""
    arrays = dict(np.load(exported("whole.npz", {"channel.num_users": 2, "sweep.channel.speed_kmh": [10, 30]}, 2)))
    return arrays, json.loads(str(arrays["header"][0]))


def line_of(path, read):
    """The one line that a reader refuses a file with; nothing where it reads it."""
    found = ""
    try:
        read()
    except LinksimError as error:
        found = str(error)
    assert "\n" not in found
    assert not found or str(path) in found
    return found


def test_any_field_of_a_header_may_be_anything(whole, tmp_path):
    arrays, header = whole
    path = tmp_path / "damaged.npz"
    few = {name: arrays[name] for name in arrays if not name.startswith("rays/")}
    header["keys"] = {name: key for name, key in header["keys"].items() if not name.startswith("rays/")}
    refused = 0
    for number, at in enumerate(places(header)):
        # each place gets some of the values, in turn
        for value in (GONE, *JUNK[number % 7::7]):
            text = json.dumps(changed_at(header, at, value))
            np.savez(path, **{**few, "header": np.array([text])})
            refused += bool(line_of(path, lambda: open_linksim(path)))
    assert refused > 250


@pytest.mark.parametrize("text", ["null", "[]", "1", '"a"', "{", "{}", 100000 * "[", 50000 * '{"a":', "\x00", "nan"])
def test_a_header_that_is_none(text, whole, tmp_path):
    path = tmp_path / "damaged.npz"
    np.savez(path, **{**whole[0], "header": np.array([text])})
    assert "its header" in line_of(path, lambda: open_linksim(path))


@pytest.mark.parametrize(("changes", "words"), [
    ({"num_subcarriers": 48}, "channel.num_subcarriers of its header makes 48 subcarriers, but history/h has 8"),
    ({"num_users": 3}, "makes 3 users, but history/h has 2"),
    ({"num_users": True}, "a number needed"),
    ({"bs_array": {"rows": 4, "columns": 4}}, "makes 32 BS antennas, but history/h has 2"),
    ({"subcarrier_spacing_khz": 15}, "history/frequency_hz does not go in steps of channel.subcarrier_spacing_khz"),
    ({"csi_period_ms": 1.5}, "history/time_s does not go in steps of channel.csi_period_ms"),
])
def test_a_header_that_its_arrays_belie(changes, words, whole, tmp_path):
    arrays, header = whole
    header["channel"] |= changes
    np.savez(tmp_path / "x.npz", **{**arrays, "header": np.array([json.dumps(header)])})
    assert words in line_of(tmp_path / "x.npz", lambda: open_linksim(tmp_path / "x.npz"))


def test_any_array_may_be_anything(whole, tmp_path, reading):
    arrays, _ = whole
    path = tmp_path / "damaged.npz"

    def read():
        chunk_of_drops(reading(path, {"speed_kmh": 10}).channel, 2, 0, 0)

    for number, (name, array) in enumerate(arrays.items()):
        if name == "header":
            continue
        other = [None, np.full(array.shape, "text"), array.ravel()[:1].reshape(()), array[:1, ...], array[:0],
                 np.zeros(array.shape, [("a", "f4")]), np.full(array.shape, np.nan), -np.ones(array.shape, np.int64)]
        for value in other[number % 4::4]:
            np.savez(path, **{key: part for key, part in {**arrays, name: value}.items() if part is not None})
            line_of(path, read)


@pytest.mark.parametrize(("name", "value", "words"), [
    ("rays/path_lengths", lambda old: old + 1, "rays/path_lengths make"),
    ("rays/is_specular", lambda old: old.astype(np.int64), "rays/is_specular is not true or false"),
    ("rays/bs.order", lambda old: old * 0, "rays/bs.order does not number every antenna once"),
])
def test_rays_that_do_not_fit_together(name, value, words, whole, tmp_path, reading):
    arrays, header = whole
    arrays[name] = value(arrays[name])
    header["keys"][name]["dtype"] = arrays[name].dtype.str
    path = tmp_path / "x.npz"
    np.savez(path, **{**arrays, "header": np.array([json.dumps(header)])})
    assert words in line_of(path, lambda: chunk_of_drops(reading(path, {"speed_kmh": 10}).channel, 2, 0, 0))
