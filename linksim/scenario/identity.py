"""What makes two runs, two channels or two trainings the same: the fields that differ from their defaults.

A field that is added with a default changes no identity. Where a default comes to mean something else, the version of
its section rises in `SCHEMA`, and whatever depends on the section is another from then on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from linksim.core.types import Section
from linksim.scenario.channel import Channel
from linksim.scenario.resolved import LEARNING, Block
from linksim.scenario.schema import CHECKPOINT_WEIGHTS, Acquisition, Scenario
from linksim.scenario.training import NOT_LEARNED, Training, merged

SCHEMA = {"channel": 1, "acquisition": 1, "training": 1}
"""Versions of what the fields of sections mean that streams and checkpoints depend on."""

_SCENARIO = 2
"""The same of all sections together; scenarios of the first version were identified by all of their fields."""

NOT_DRAWN = {"source", "files"}
"""Fields of `Channel` that say where drops come from, not what they are: random streams do not depend on them."""

_NOT_OF_DROPS = {"description": True, "plugins": True, "training": NOT_LEARNED - {"preset"},
                 "run": {"stopping", "units_per_round", "confidence"}}
"""Texts, the stopping rule and where checkpoints are kept."""


def chosen_fields(section: Section, left_out: Any = None) -> dict[str, Any]:
    """Fields that differ from the defaults, as JSON can hold them.

    :param left_out: fields that do not count, as pydantic's ``exclude`` takes them.
    """
    return section.model_dump(mode="json", exclude_defaults=True, exclude=left_out)


def channel_fields(channel: Channel, left_out: Iterable[str] = ()) -> dict[str, Any]:
    """`chosen_fields` of a channel; files and scenes count by their digests, not by where they lie.

    :param left_out: further names of fields that do not count.
    """
    without: dict[str, Any] = {"files": {"path", "training_path", "speed_known"}, **dict.fromkeys(left_out, True)}
    if channel.ray_traced.scene_sha256:
        without["ray_traced"] = {"scene"}
    chosen = chosen_fields(channel, without)
    if not channel.beam_squint:  # left out or false: the same drops
        chosen.pop("beam_squint", None)
    return chosen


def training_fields(training: Training, names: Iterable[str] | None = None) -> dict[str, Any]:
    """What of a training decides its outcome, beside channels and other blocks: what differs from the preset ``cpu``.

    :param names: fields that count; all that matter to gradient descent if None.
    """
    usual = merged(Training(), None).model_dump(mode="json")
    left_out = NOT_LEARNED | {"speeds_kmh", "channel", "teacher", "start_from"}
    if training.fraction == 1:  # there is nothing to even out
        left_out |= {"even_steps"}
    return {name: value for name, value in training.model_dump(mode="json", exclude=left_out).items()
            if value != usual[name] and (names is None or name in names)}


def chosen_options(block: Block) -> dict[str, Any]:
    """Options that differ from a block's defaults."""
    fields = block.spec.options.model_fields
    return {name: value for name, value in block.options.items() if value != fields[name].default}


def scenario_hash(scenario: Scenario) -> str:
    """Identity of the drops a scenario produces and of what is done with them.

    A plugin and a checkpoint that is named count by their content: an edited one makes another scenario, a moved one
    does not.
    """
    data = chosen_fields(scenario, {**_NOT_OF_DROPS, "channel": True})
    data["channel"] = channel_fields(scenario.channel)
    if scenario.link.mode == "rate":
        data.get("link", {}).pop("coding", None)
    for section in (data.get("link", {}), *data["methods"]):
        for kind in LEARNING:
            if isinstance(block := section.get(kind), dict) and block.get("checkpoint"):
                block["checkpoint"] = weights_digest(block["checkpoint"])
    data = {key: value for key, value in data.items() if value != {}}
    about = [_SCENARIO, SCHEMA, data, plugin_digests(scenario.plugins)]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def plugin_digests(paths: Iterable[str]) -> list[str]:
    """Digests of the contents of plugin files."""
    return [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]


def weights_digest(folder: str) -> str:
    """Digest of the weights in a checkpoint's folder; the folder's name where there are none."""
    try:
        return hashlib.sha256((Path(folder) / CHECKPOINT_WEIGHTS).read_bytes()).hexdigest()
    except OSError:
        return folder


def acquisition_fields(acquisition: Acquisition) -> dict[str, Any]:
    """`chosen_fields` of an acquisition."""
    return chosen_fields(acquisition)


_NAMED_FIRST: dict[str, tuple[str, ...]] = {
    "": ("model", "los", "carrier_frequency_ghz", "duplex", "duplex_gap_mhz", "num_subcarriers",
         "subcarrier_spacing_khz", "csi_period_ms", "num_history", "num_future", "num_users", "speed_kmh",
         "indoor_share", "path_loss", "shadow_fading", "normalization", "delay_spread_ns", "bs_array", "ue_array"),
    "bs_array": ("rows", "columns", "polarization", "pattern", "downtilt_deg", "height_m"),
    "ue_array": ("num_antennas", "polarization", "pattern"),
    "ray_traced": ("scene", "scene_sha256", "position_m", "azimuth_deg", "sector_deg", "terminal_height_m",
                   "grid_spacing_m", "radius_m", "min_distance_m", "max_depth", "diffuse_reflection", "refraction",
                   "diffraction", "edge_diffraction", "rays_launched", "trace_seed", "max_paths", "path_range_db",
                   "min_path_gain_db", "synchronized", "block_m", "guard_m", "test_share", "validation_share",
                   "split_seed"),
}
"""Fields that name the streams of training drops whatever their values: the others do where they differ from the
defaults. Never to be changed, or all that is fitted changes with it."""


def stream_fields(channel: Channel) -> dict[str, Any]:
    """What names the random streams of a channel's training drops, as JSON can hold it."""
    named = _named(channel, "", NOT_DRAWN | {"ray_traced", "beam_squint"})
    for name in ("bs_array", "ue_array"):
        named[name] = _named(getattr(channel, name), name)
    if channel.beam_squint:
        named["beam_squint"] = True
    if (own := channel.source_section) and own not in NOT_DRAWN:
        scene = {"scene"} if channel.ray_traced.scene_sha256 else set()
        named[own] = _named(getattr(channel, own), own, scene)
    if channel.has_floors:
        named["indoor_height"] = "floors"  # they stood at 1.5 m in the first results
    return named


def _named(section: Section, which: str, left_out: set[str] | None = None) -> dict[str, Any]:
    fields = type(section).model_fields
    dumped = section.model_dump(mode="json", exclude=left_out)
    return {name: value for name, value in dumped.items()
            if name in _NAMED_FIRST[which] or getattr(section, name) != fields[name].default}
