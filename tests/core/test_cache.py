"""What is kept between runs: made once, whole or absent, and where the user says."""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from linksim.core.cache import cached_tensors
from linksim.core.errors import StoreError
from linksim.core.files import cache_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def ones():
    return {"a": torch.ones(1000)}


def never():
    raise AssertionError("made again")


def test_made_once_and_read_after_that(folder):
    assert cached_tensors("some/name.safetensors", ones)["a"].equal(torch.ones(1000))
    assert cached_tensors("some/name.safetensors", never)["a"].equal(torch.ones(1000))


def test_changing_a_tensor_does_not_change_the_file(folder):
    cached_tensors("x.safetensors", ones)["a"].zero_()
    assert cached_tensors("x.safetensors", never)["a"].equal(torch.ones(1000))


def test_a_kill_half_way_leaves_nothing_that_is_taken_for_the_file(folder):
    code = ("import os, torch; from linksim.core import cache\n"
            "cache.os.replace = lambda *_: os._exit(9)\n"  # all is written but for the last step
            "cache.cached_tensors('x.safetensors', lambda: {'a': torch.zeros(1000)})")
    killed = subprocess.run([sys.executable, "-c", code], check=False,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert killed.returncode == 9
    assert [path.suffix for path in folder.glob("x.*") if path.suffix != ".lock"] == [".tmp"]
    assert cached_tensors("x.safetensors", ones)["a"].equal(torch.ones(1000))
    assert not list(folder.glob("*.tmp"))


def header(text):
    """A safetensors file of this header and a thousand ones."""
    return len(text).to_bytes(8, "little") + text.encode() + bytes(4000)


ENTRY = '{"a":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}'


@pytest.mark.parametrize("content", [
    safetensors.torch.save({"a": torch.zeros(1000)}), safetensors.torch.save({"b": torch.ones(1000)}),
    safetensors.torch.save({"a": torch.ones(999)}), safetensors.torch.save({"a": torch.full((1000,), math.nan)}),
    safetensors.torch.save({"a": torch.ones(1000)}, {"blake2b": "0"}), header(ENTRY + ',"__metadata__":[]}'),
    header(ENTRY + ',"__metadata__":null}'), header(ENTRY + ',"__metadata__":{"blake2b":null}}'), header("null"),
    header("[]"), header('"text"'), header("{"), header("[" * 50_000), header('{"a":{"dtype":"F9"}}'),
    (2**63).to_bytes(8, "little") + b"{}", (2**26).to_bytes(8, "little") + b"{}", b"\xff" * 100,
], ids=range(17))
def test_a_file_that_is_not_what_was_kept_is_made_again(folder, content):
    cached_tensors("x.safetensors", ones)
    whole = (folder / "x.safetensors").read_bytes()
    (folder / "x.safetensors").write_bytes(content)
    assert cached_tensors("x.safetensors", ones)["a"].equal(torch.ones(1000))
    assert (folder / "x.safetensors").read_bytes() == whole


def test_a_flipped_bit_is_found(folder):
    cached_tensors("x.safetensors", ones)
    whole = (folder / "x.safetensors").read_bytes()
    for place in (10, len(whole) // 2, len(whole) - 1):
        (folder / "x.safetensors").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        assert cached_tensors("x.safetensors", ones)["a"].equal(torch.ones(1000))
        assert (folder / "x.safetensors").read_bytes() == whole


@pytest.mark.parametrize("length", [0, 5, 500])
def test_a_damaged_file_is_made_again(folder, length):
    cached_tensors("x.safetensors", ones)
    whole = (folder / "x.safetensors").read_bytes()
    (folder / "x.safetensors").write_bytes(whole[:length])
    assert cached_tensors("x.safetensors", ones)["a"].equal(torch.ones(1000))
    assert (folder / "x.safetensors").read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_one_line_with_the_way_out(folder):
    folder.write_text("a file")
    with pytest.raises(StoreError, match=r"x\.safetensors: cannot be kept: .*; set LINKSIM_CACHE to a folder"):
        cached_tensors("x.safetensors", ones)


@pytest.mark.parametrize("error", [AssertionError("made again"), OSError("its own file is missing")])
def test_what_goes_wrong_in_making_is_not_blamed_on_the_folder(folder, error):
    def fails():
        raise error

    with pytest.raises(type(error), match=str(error)):
        cached_tensors("x.safetensors", fails)


def test_a_full_disk_is_one_line_and_leaves_no_half_file(folder):
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, most))
    try:
        with pytest.raises(StoreError, match=r"x\.safetensors: cannot be kept: .*; set LINKSIM_CACHE to a folder"):
            cached_tensors("x.safetensors", ones)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert [path.name for path in folder.iterdir()] == ["x.lock"]
    assert cached_tensors("x.safetensors", ones)["a"].equal(torch.ones(1000))


def test_the_place_is_the_system_s_unless_chosen(monkeypatch):
    monkeypatch.setenv("LINKSIM_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("LINKSIM_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/linksim")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "linksim"
