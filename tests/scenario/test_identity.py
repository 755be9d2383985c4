"""Identities follow what was chosen: a field that is added with a default moves none of them."""

from __future__ import annotations

import pytest
from pydantic import create_model

from linksim.core.seeding import stream_seed
from linksim.scenario.channel import BsArray, Channel, UeArray
from linksim.scenario.identity import (
    acquisition_fields,
    channel_fields,
    chosen_fields,
    stream_fields,
    training_fields,
)
from linksim.scenario.ray_traced import RayTraced
from linksim.scenario.schema import Acquisition, Feedback, Link, Semantic
from linksim.scenario.training import PRESETS, Training


def grown(section, **nested):
    """A section's class with one more field, and with other classes for the sections within it."""
    fields = {name: (kind, kind()) for name, kind in nested.items()}
    return create_model(f"Grown{section.__name__}", __base__=section, added_later=(int, 7), **fields)


CHANNELS = [{}, {"speed_kmh": 60, "bs_array": {"rows": 2}}, {"source": "ray_traced", "ray_traced": {"max_paths": 3}}]


@pytest.mark.parametrize("given", CHANNELS)
@pytest.mark.parametrize("identity", [channel_fields, stream_fields])
def test_a_field_added_to_the_channel_moves_no_drop(identity, given):
    traced = {"ray_traced": grown(RayTraced)} if "ray_traced" in given else {}
    later = grown(Channel, bs_array=grown(BsArray), ue_array=grown(UeArray), **traced)
    before, after = identity(Channel(**given)), identity(later(**given))
    assert before == after
    assert identity(later(**given, added_later=8)) == {**before, "added_later": 8}


@pytest.mark.parametrize("section", [Acquisition, Feedback, Link, Semantic])
def test_a_field_added_to_a_section_names_nothing(section):
    assert chosen_fields(grown(section)()) == chosen_fields(section()) == {}


def test_acquisitions_are_told_apart_by_what_differs():
    assert acquisition_fields(Acquisition(csi_snr_db=10)) == {"csi_snr_db": 10.0}


def test_trainings_are_told_apart_from_the_preset_by_what_differs():
    whole = Training(**PRESETS["cpu"])
    assert training_fields(whole) == {}
    assert training_fields(whole.model_copy(update={"num_epochs": 3, "folder": "elsewhere"})) == {"num_epochs": 3}
    assert training_fields(whole.model_copy(update={"num_epochs": 3, "num_drops": 50}), ["num_drops"]) == {
        "num_drops": 50}


def test_streams_of_training_drops_stay_as_they_were_released():
    named = stream_fields(Channel(model="uma", speed_kmh=30))
    assert stream_seed(0, "training", named, 3) == 3608251624755924346
