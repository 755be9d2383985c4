"""The kept table: whole, named by what it depends on, read without Sionna RT."""

from importlib import metadata

import pytest
import torch

from linksim.channel.ray_traced import path_tables as tables
from linksim.channel.ray_traced import runtime
from linksim.channel.ray_traced.path_tables import path_table
from linksim.channel.ray_traced.site import site_of
from linksim.channel.ray_traced.table import PathTable, table_name
from linksim.core.cache import cached_tensors
from linksim.core.errors import ScenarioError, StoreError
from linksim.core.files import cache_folder
from linksim.scenario.ray_traced import RayTraced, Site


def test_a_table_comes_back_from_its_tensors(make_table):
    table = make_table(num=3)
    again = PathTable.from_tensors(table.to_tensors())
    assert again.about == table.about
    assert all(torch.equal(getattr(again, name), tensor) for name, tensor in table.to_tensors().items()
               if name != "about")


def test_tables_are_joined_to_the_longest(make_table):
    first, second = make_table(num=3, num_paths=2), make_table(num=4, num_paths=5)
    joined = PathTable.joined([first, second], {})
    assert joined.transfer.shape == (7, 5, 2, 2)
    torch.testing.assert_close(joined.path_gain.sum(-1), torch.cat([first.total_gain, second.total_gain]))


def test_the_name_depends_on_what_is_traced_and_on_nothing_else(make_channel):
    name = table_name(make_channel())
    site = site_of(RayTraced())
    assert isinstance(site, Site)
    for same in ({"speed_kmh": 3}, {"los": "los"}, {"ray_traced": {"max_paths": 3, "guard_m": 1, "test_share": 0.5}},
                 {"ray_traced": {"position_m": site.position_m, "azimuth_deg": site.azimuth_deg}}):
        assert table_name(make_channel(**same)) == name
    for other in ({"carrier_frequency_ghz": 3.5}, {"ray_traced": {"max_depth": 2}}, {"ray_traced": {"scene": "etoile"}},
                  {"ray_traced": {"position_m": (0, 0, 30)}}, {"ray_traced": {"rays_launched": 5000}}):
        assert table_name(make_channel(**other)) != name


def test_a_kept_table_needs_no_sionna_rt(make_table, make_channel, monkeypatch, tmp_path, without):
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path))
    without("sionna-rt")
    monkeypatch.setattr(tables, "_TABLES", {})
    channel = make_channel()
    with pytest.raises(ScenarioError, match=r"sionna-rt is not installed: .*--extra rt .*pip install -e '\.\[rt\]'"):
        path_table(channel)
    assert not list(cache_folder().rglob("*.safetensors"))
    table = make_table()
    cached_tensors(table_name(channel), table.to_tensors)
    assert len(path_table(channel)) == len(table)


def test_another_release_is_refused(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "1.2.1")
    with pytest.raises(ScenarioError, match=r"sionna-rt 1\.2\.1 is installed, and linksim needs >=2\.2,<2\.3: "):
        runtime.import_sionna_rt()


@pytest.mark.parametrize("library", [None, "/nowhere/libLLVM.so"])
def test_without_llvm_nothing_is_imported(monkeypatch, library):
    monkeypatch.setattr(metadata, "version", lambda name: "2.2.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    if library:
        monkeypatch.setenv("DRJIT_LIBLLVM_PATH", library)
    with pytest.raises(ScenarioError, match=r"LLVM 19 or newer.*DRJIT_LIBLLVM_PATH"):
        runtime.import_sionna_rt()


@pytest.mark.parametrize(("change", "words"), [
    (lambda held: held.pop("transfer"), "no table of paths"),
    (lambda held: held.update(stranger=torch.zeros(3)), "no table of paths"),
    (lambda held: held.update(delay_s=held["delay_s"][:, :1]), r"delay_s is \[3, 1\]"),
    (lambda held: held.update(arrival=held["arrival"] * torch.nan), "arrival has values that are not finite"),
    (lambda held: held.update(line_of_sight=torch.zeros(3)), "line_of_sight is"),
    (lambda held: held.update(transfer=torch.zeros(3)), "transfer is"),
    (lambda held: held.update(about=torch.tensor(list(b"[1]"), dtype=torch.uint8)), "no list of keys"),
    (lambda held: held.update(about=torch.tensor(list(b"{" * 9), dtype=torch.uint8)), "damaged"),
    (lambda held: held.update(about=torch.tensor(list(b"[" * 10**5), dtype=torch.uint8)), "damaged"),
    (lambda held: held.update(about=torch.zeros(2, 2)), "damaged"),
])
def test_a_kept_table_that_somebody_was_at_is_named(change, words, make_table, make_channel, monkeypatch, tmp_path):
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path))
    monkeypatch.setattr(tables, "_TABLES", {})
    held = make_table(num=3).to_tensors()
    change(held)
    cached_tensors(table_name(make_channel()), lambda: held)
    with pytest.raises(StoreError, match=words) as error:
        path_table(make_channel())
    assert str(tmp_path / table_name(make_channel())) in str(error.value)
    assert "delete it" in str(error.value)
