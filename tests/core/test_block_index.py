"""The index of built-in blocks is that of the blocks as they are, and is made anew where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import pydantic
import pytest

import linksim
from linksim.core import block_index, registry
from linksim.core.messages import nearest

PACKAGE = Path(linksim.__file__).parent

NEW_BLOCKS = '''
from __future__ import annotations

from typing import Annotated, Literal

import pydantic
import torch

import linksim
from linksim.blocks.precoding.base import Precoder
from linksim.blocks.precoding.linear import SvdPrecoder
from linksim.core import registry
from linksim.core.types import PositiveInt as Whole

USUAL = 3
Way = Literal["up", "down"]
Angle = Annotated[float, pydantic.Field(gt=-90, lt=90)]


@linksim.register("precoder", "of_the_readme")
class OfTheReadme(Precoder):
    """Spelled as in the README."""

    def __init__(self, steps: Whole = USUAL, way: Way = "up", tilt: Angle = 2 * 5.0,
                 several: list[int] | None = None) -> None:
        super().__init__()


@registry.register("precoder", "inherited")
class Inherited(SvdPrecoder):
    """With the options of what it extends."""
'''


def test_the_shipped_index_is_that_of_the_blocks():
    for module in block_index.modules():
        import_module(module)
    blocks = [spec for spec in registry.catalogue() if ":" in spec.source and spec.source.startswith("linksim.")]
    assert block_index.SHIPPED.read_bytes() == block_index.content(blocks), "run: python -m linksim.core.registry"


def test_checkouts_whose_lines_end_otherwise_have_the_same_digests(tmp_path, monkeypatch):
    sources = block_index._sources()
    for name in sources:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((PACKAGE / name).read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(block_index, "_PACKAGE", tmp_path)
    assert block_index._sources() == sources


@pytest.fixture
def copy(tmp_path):
    """Part of linksim in another place, with more blocks, and Python there: its output, and lines of its errors."""
    others = ("__pycache__", "learned.py", "backbone", "bounds", "retrieval", "feedback", "prediction", "semantic",
              "universal")
    shutil.copytree(PACKAGE, tmp_path / "linksim", ignore=shutil.ignore_patterns(*others))
    (tmp_path / "linksim/blocks/precoding/new.py").write_text(NEW_BLOCKS)

    def python(*words):
        ran = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False, env={
            **os.environ, "PYTHONPATH": str(tmp_path), "LINKSIM_CACHE": str(tmp_path / "cache")})
        assert ran.returncode == 0, ran.stderr
        return ran.stdout, ran.stderr.splitlines()

    return python


def precoders(listed):
    return [line.split()[1] for line in listed.splitlines() if line.startswith("precoder")]


def test_a_new_block_is_found_however_it_is_spelled_and_without_torch_the_next_time(copy, tmp_path):
    listed, said = copy("-m", "linksim", "blocks")
    assert not said
    assert precoders(listed) == ["inherited", "mrt", "of_the_readme", "rzf", "svd", "zf"]
    explained, _ = copy("-m", "linksim", "blocks", "of_the_readme")
    for option in ("steps: whole number >= 1; default 3", 'way: one of "up", "down"; default "up"',
                   "tilt: number > -90 < 90; default 10.0", "several: list or nothing; default null"):
        assert option in explained
    explained, _ = copy("-m", "linksim", "blocks", "inherited")
    assert "power: one of" in explained
    assert ":param power:" in explained
    copy("-c", "import sys; from linksim.core import registry; registry.find('precoder', 'inherited').options(); "
               "assert 'torch' not in sys.modules")
    index = next((tmp_path / "cache").glob("blocks-*.json"))
    index.write_text(index.read_text()[:-200])  # damaged: made again
    assert copy("-m", "linksim", "blocks")[0] == listed


def test_a_block_that_cannot_be_imported_breaks_itself_alone(copy, tmp_path):
    broken = tmp_path / "linksim/blocks/precoding/broken.py"
    broken.write_text("import torch\n\ndef\n")
    assert "usage" in copy("-m", "linksim", "--help")[0]
    listed, said = copy("-m", "linksim", "blocks")
    assert precoders(listed) == ["inherited", "mrt", "of_the_readme", "rzf", "svd", "zf"]
    assert said == [f"not all blocks can be read: {broken}:3: SyntaxError: invalid syntax"]


def test_what_the_index_has_no_form_for_is_said_with_block_and_option():
    for kind, default, words in [(complex, ..., "type complex is not understood"), (float, 1j, "1j is no number"),
                                 (dict[str, int], ..., "type dict is not understood"),
                                 (Annotated[int, pydantic.AfterValidator(abs)], ..., "built-in function abs"),
                                 (Annotated[int, pydantic.Field(ge=1, strict=True)] | bytes, ..., "type bytes")]:
        spec = registry.BlockSpec("precoder", "odd", "", "somewhere:Odd", {"turn": (kind, default)})
        with pytest.raises(TypeError, match=rf"precoder 'odd' \(somewhere:Odd\): option 'turn': .*{words}"):
            block_index.content([spec])
    with pytest.raises(TypeError, match="neither plain data nor a function of a module"):
        block_index.plain({"needs": lambda options: None})
    assert block_index.plain({"needs": nearest}) == {"needs": "linksim.core.messages:nearest"}
