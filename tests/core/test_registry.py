"""Blocks are known without being imported, and what is known agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import linksim
from linksim.bounds.base import Bound
from linksim.core import registry
from linksim.core.errors import ScenarioError
from linksim.retrieval.data import RetrievalData


@pytest.mark.parametrize("spec", registry.catalogue(), ids=lambda spec: f"{spec.kind}-{spec.name}")
def test_every_option_is_documented(spec):
    assert spec.summary.endswith((".", ":"))
    assert all(f":param {option}:" in spec.doc for option in spec.options.model_fields)


@pytest.mark.parametrize("spec", registry.catalogue(), ids=lambda spec: f"{spec.kind}-{spec.name}")
def test_every_block_is_made_with_its_defaults(spec):
    # importers alone need to be told something: where the user's files are
    needed = {name: "a folder" for name, field in spec.options.model_fields.items() if field.is_required()}
    assert set(needed) <= ({"folder"} if spec.kind == "retrieval_data" else set())
    made = registry.create(spec.kind, spec.name, needed)
    assert isinstance(made, {"retrieval_data": RetrievalData, "bound": Bound}.get(spec.kind, torch.nn.Module))
    assert spec.required_history(registry.validate_options(spec, needed)) >= 1


def test_options_are_checked_before_a_block_is_made():
    for options, words in [({"order": 0}, "at least 1"), ({"ordre": 1}, "did you mean 'order'"),
                           ({"order": True}, "a number needed"), ({"order": 1.5}, "whole number")]:
        with pytest.raises(ScenarioError, match=words):
            registry.create("predictor", "ar", options)


def test_a_name_can_be_taken_once_but_a_notebooks_cell_run_again():
    def cell():
        @linksim.register("predictor", "cell_block")
        class Mine(torch.nn.Module):
            """In a notebook."""

            def __init__(self, gain: float = 1.0) -> None:
                super().__init__()
                self.gain = gain

        return Mine

    cell()
    latest = cell()
    try:
        assert type(registry.create("predictor", "cell_block", {"gain": 2})) is latest
        with pytest.raises(ValueError, match="already a predictor 'hold'"):
            linksim.register("predictor", "hold")(torch.nn.Linear)
        with pytest.raises(ValueError, match="already a predictor 'cell_block'"):
            linksim.register("predictor", "cell_block")(torch.nn.Linear)
    finally:
        del registry._registered["predictor", "cell_block"]


def test_a_block_of_the_user_has_the_options_of_the_built_in_one_that_it_extends():
    from linksim.blocks.prediction.autoregression import AutoregressivePredictor

    try:
        @linksim.register("predictor", "longer_ar")
        class Longer(AutoregressivePredictor):
            """AR, and more."""

        assert type(registry.create("predictor", "longer_ar", {"order": 3})) is Longer
        with pytest.raises(ScenarioError, match="did you mean 'order'"):
            registry.create("predictor", "longer_ar", {"ordre": 3})
    finally:
        del registry._registered["predictor", "longer_ar"]


def test_data_sets_that_became_plugins_say_where_they_are(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})  # another test may have loaded them
    root = Path(linksim.__file__).parents[1]
    for name, path in registry._PLUGINS["retrieval_data"].items():
        assert f'register("retrieval_data", "{name}"' in (root / path).read_text(encoding="utf-8")
        with pytest.raises(ScenarioError, match=re.escape(f"is a plugin: write plugins: [{path}]")):
            registry.find("retrieval_data", name)


def test_an_unknown_block_names_the_nearest():
    with pytest.raises(ScenarioError, match="did you mean 'wiener'"):
        registry.find("predictor", "weiner")
    with pytest.raises(ValueError, match="unknown kind"):
        linksim.register("predicter", "x")
