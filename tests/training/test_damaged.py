"""Damaged checkpoints and states: one line that names the file and what to do, exit code 2, nothing written."""

from __future__ import annotations

import copy
import json
import math
import re

import pytest
import safetensors.torch
import torch

from linksim.core.errors import LinksimError, StoreError
from linksim.training.checkpoint import write_checkpoint
from linksim.training.identity import malformed
from linksim.training.preparation import check_parts
from linksim.training.trainer import _planned_epochs


@pytest.fixture
def named(toy, part, tmp_path):
    """A scenario that names a checkpoint of its predictor, and that one's folder."""
    folder, sound = tmp_path / "given", part(toy())
    write_checkpoint(folder, sound.untrained().saved_state(),
                     {**sound.about, "validation_nmse": 0.1, "record": {"epochs": 1}})
    return toy({"methods.line.predictor": {"type": "line", "checkpoint": str(folder)}}), folder


def header(length, text=b"{}"):
    return length.to_bytes(8, "little") + text


ENTRY = b'{"over_time.weight":{"dtype":"%s","shape":%s,"data_offsets":[0,48]}}'


@pytest.mark.parametrize("content", [
    b"", b"text", b"\xff" * 50, header(2), header(2**62), header(2**20), header(4, b"null"), header(2, b"[]"),
    header(50_000, b"[" * 50_000), header(50_000, b'{"a":' * 10_000), header(60, ENTRY % (b"F99", b"[2,6]")),
    header(len(ENTRY % (b"F99", b"[2,6]")), ENTRY % (b"F99", b"[2,6]") + bytes(48)),
    header(len(ENTRY % (b"F32", b"[2,-6]")), ENTRY % (b"F32", b"[2,-6]") + bytes(48)),
    header(len(ENTRY % (b"F32", b'"x"')), ENTRY % (b"F32", b'"x"') + bytes(48)),
    header(len(ENTRY % (b"F32", b"[2,5]")), ENTRY % (b"F32", b"[2,5]") + bytes(48)),
    header(len(ENTRY % (b"I8", b"[48]")), ENTRY % (b"I8", b"[48]") + bytes(48)),
    header(len(ENTRY % (b"F8_E4M3", b"[48]")), ENTRY % (b"F8_E4M3", b"[48]") + bytes(48)),
    safetensors.torch.save({"over_time.weight": torch.full((2, 6), math.nan)}), safetensors.torch.save({}),
    safetensors.torch.save({"over_time.weight": torch.zeros(2, 6), "more": torch.zeros(1)}),
], ids=range(20))
def test_damaged_weights(content, named):
    scenario, folder = named
    check_parts(scenario, "cpu")
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(LinksimError) as fault:
        check_parts(scenario, "cpu")
    text = " ".join(str(fault.value).split())
    assert re.search(rf"{folder}.*(damaged|does not fit line).*train again", text), text
    assert len(text) < 1000


def test_weights_cut_anywhere(named, part):
    scenario, folder = named
    content = (folder / "weights.safetensors").read_bytes()
    for length in range(0, len(content), 9):
        (folder / "weights.safetensors").write_bytes(content[:length])
        with pytest.raises(LinksimError, match=r"weights\.safetensors: damaged .* train again"):
            part(scenario).load()


DEEP: list = []
for _ in range(200):
    DEEP = [DEEP]

VALUES = [None, [], {}, "text", "[/b]", 0, -1, 1.5, math.nan, math.inf, True, [[]], [None], {"": {}}, 10**400, DEEP,
          ["x" * 5000], {"x" * 5000: 1}]


def test_every_field_of_about_with_every_kind_of_value(named):
    scenario, folder = named
    about = json.loads((folder / "about.json").read_text())
    assert malformed(about) is None
    places = [(key,) for key in about] + [("shape", key) for key in about["shape"]] \
        + [("options", key) for key in about["options"]] + [("conditions", 0)]
    refused = 0
    for place in places:
        for value in ["missing", *VALUES]:
            changed = copy.deepcopy(about)
            *parents, last = place
            node = changed
            for parent in parents:
                node = node[parent]
            if value == "missing":
                del node[last]
            else:
                node[last] = value
            (folder / "about.json").write_text(json.dumps(changed))
            refused += not _loads_or_says_why(scenario, folder)
    assert refused > 200


@pytest.mark.parametrize("content", [
    b"", b"{", b"null", b"[]", b'"text"', b"3", b"NaN", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000,
    b'{"shape": 1' + b"0" * 5000 + b"}", b'{"shape": {}}', None,
], ids=range(14))
def test_whole_files_that_are_no_about(content, named):
    scenario, folder = named
    path = folder / "about.json"
    if content is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(content)
    assert not _loads_or_says_why(scenario, folder)


def _loads_or_says_why(scenario, folder):
    try:
        check_parts(scenario, "cpu")
    except LinksimError as error:
        text = " ".join(str(error).split())
        assert str(folder) in text
        assert len(text) < 3000
        return False
    return True


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'{"num_epochs": null}', b'{"num_epochs": -1}',
                                     b'{"num_epochs": 1e999}', b'{"num_epochs": "6"}', b'{"num_epochs": true}',
                                     b"[" * 100_000], ids=range(10))
def test_a_damaged_plan_is_none_and_made_again(content, tmp_path):
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    assert _planned_epochs(path) is None


def states():
    """Files that torch can read and that are no state of a training."""
    selection = {"nmse": 0.5, "epoch": 0, "waited": 0, "stage": 0, "weights": {"over_time.weight": torch.zeros(2, 6)}}
    sound = {"step": 3, "used_s": 1.0, "cpu_s": 1.0, "block": {"over_time.weight": torch.zeros(2, 6)},
             "precision": {}, "average": {}, "moments": {}, "selection": selection, "curve": []}
    yield from ([], {}, 3, torch.zeros(2), {"state_dict": {}})
    for whole, within in ((sound, lambda part: part), (selection, lambda part: {**sound, "selection": part})):
        for key in whole:
            if key != "precision":
                yield within({name: value for name, value in whole.items() if name != key or whole is selection})
                yield within({**whole, key: [1]})
    yield {**sound, "step": -1}
    yield {**sound, "curve": [(10, 200, 1.0)]}
    yield {**sound, "step": 10**6}
    yield {**sound, "block": {"over_time.weight": torch.zeros(3, 6)}}
    yield {**sound, "selection": {**selection, "weights": {"over_time.weight": torch.zeros(3, 6)}}}


def test_a_state_that_is_none_is_named_with_what_to_do(toy, train):
    scenario = toy({"training.num_epochs": 1})
    folder = train(scenario)
    (folder / "weights.safetensors").unlink()
    (folder / "resume").mkdir()
    path = folder / "resume" / "state.ckpt"
    named = 0
    for state in states():
        torch.save(state, path)
        said = None
        try:
            train(scenario)
        except StoreError as error:
            said = str(error)
        if said is None:  # it was near enough
            (folder / "weights.safetensors").unlink()
            path.parent.mkdir(exist_ok=True)
            continue
        named += 1
        assert f"{path}: damaged or of another version" in said
        assert f"delete {path.parent} to train anew" in said
    assert named >= 10
