"""What `training` and the methods' own say of it cannot say together."""

from __future__ import annotations

from typing import Any

import pydantic

from linksim.channel.source import source_of
from linksim.core.errors import ScenarioError
from linksim.core.messages import describe, suggestion
from linksim.scenario.channel import SOURCE_SECTIONS, Channel
from linksim.scenario.resolved import LEARNING, LearningBlock, ResolvedMethod, ResolvedScenario

_NOTHING_LEARNS = {
    "predictor": "is not trained", "feedback": "has no codec that is trained",
    "semantic": "has no semantic codec that is trained",
    "universal": "answers no tasks: write universal, or leave it out",
    "precoder": "has no precoder of its own that is trained",
}

_NO_TEACHER = {"feedback": "codecs have no teachers", "semantic": "semantic codecs have no teachers",
               "precoder": "precoders have no teachers"}
_NO_START = {"semantic": "semantic codecs start from nothing",
             "universal": "blocks that answer tasks start from nothing; encoders are taken over from a teacher"}


def check_trainings(scenario: ResolvedScenario) -> None:
    """How the methods' blocks are trained, and that nothing is said of those that are not."""
    for index, method in enumerate(scenario.methods):
        written = scenario.written.methods[index]
        for kind, section in LEARNING.items():
            block, own = getattr(method, kind), getattr(written, section)
            # the link's precoder is trained once for all
            if block is None or not block.learns or (kind == "precoder" and written.precoder is None):
                if own is not None:
                    raise ScenarioError(f"methods.{index}.{section}: {method.name!r} {_NOTHING_LEARNS[kind]}")
                continue
            fields = set() if own is None else own.model_dump(exclude_none=True).keys()
            _check_training(scenario, method, block, {
                field: f"methods.{index}.{section}.{field}" if field in fields else f"training.{field}"
                for field in ("channel", "csi_snr_db", "teacher", "start_from", "fresh_drops")})


def _check_training(scenario: ResolvedScenario, method: ResolvedMethod, block: LearningBlock, place: dict[str, str]
                    ) -> None:
    """:param place: of the fields that can be wrong."""
    training = block.training
    try:
        channel = training_channel(scenario.channel, training.channel)
    except ScenarioError as error:
        raise ScenarioError(f"{place['channel']}{error}") from None
    if block.kind == "predictor":
        if training.csi_snr_db is not None and scenario.acquisition.type == "perfect":
            raise ScenarioError(f"{place['csi_snr_db']}: acquisition.type is perfect: there is no noise to vary")
        if training.fresh_drops and source_of(channel).stores_training(channel):
            raise ScenarioError(f"{place['fresh_drops']}: a training file has no other drops in the next epoch")
    others = {other.name: found for other in scenario.methods if other.name != method.name
              and (found := getattr(other, block.kind)) is not None and found.learns}
    if training.teacher:
        if block.kind in _NO_TEACHER:
            raise ScenarioError(f"{place['teacher']}: {_NO_TEACHER[block.kind]}")
        _check_teacher(training.teacher, method.name, others, place["teacher"])
    if training.start_from:
        if block.kind in _NO_START:
            raise ScenarioError(f"{place['start_from']}: {_NO_START[block.kind]}")
        alike = {name: other for name, other in others.items()
                 if (other.name, other.options) == (block.name, block.options)}
        _check_start(training.start_from, alike, place["start_from"])


def _check_teacher(teacher: str, taught: str, others: dict[str, LearningBlock], place: str) -> None:
    """Who teaches is trained, and has no teacher itself."""
    if teacher not in others:
        known = suggestion(teacher, list(others)) if others else "no other method is trained"
        raise ScenarioError(f"{place}: no trained method {teacher!r} to teach {taught!r}: {known}")
    if others[teacher].training.teacher:
        raise ScenarioError(f"{place}: {teacher!r} has a teacher itself; one that has none can teach")


def _check_start(name: str, alike: dict[str, LearningBlock], place: str) -> None:
    """What a training starts from: the same block with the same options, which starts from nothing itself."""
    if name not in alike:
        known = suggestion(name, list(alike)) if alike else "no other method has the same block and options"
        raise ScenarioError(f"{place}: no trained method {name!r} to start from: {known}")
    if alike[name].training.start_from:
        raise ScenarioError(f"{place}: {name!r} starts from another method itself; name one that does not")


_SAME_SIZES = ("num_history", "num_future", "num_subcarriers", "num_users")


def training_channel(channel: Channel, changes: dict[str, Any]) -> Channel:
    """A channel with the changes that ``training.channel`` makes.

    :raises ScenarioError: a change that cannot be made, ``.key: message``.
    """
    for key in (*_SAME_SIZES, "files"):
        if key in changes:
            raise ScenarioError(f".{key}: cannot be another one in training" + (
                "; training files are named in channel.files.training_path" if key == "files" else ""))
    data = _deeper(channel.model_dump(), changes)
    if "source" in changes:  # sections of other sources say nothing then
        own = SOURCE_SECTIONS.get(changes["source"]) if isinstance(changes["source"], str) else None
        data |= {"source": changes["source"], **{
            section: changes.get(section, {}) for section in SOURCE_SECTIONS.values() if section not in (None, own)}}
    try:
        changed = Channel.model_validate(data)
        source_of(changed).check_channel(changed)
        return changed
    except ScenarioError as error:
        raise ScenarioError(f".{error}") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = "".join(f".{part}" for part in first["loc"])
        fault = f"unknown key: {suggestion(str(first['loc'][-1]), Channel.model_fields)}" \
            if first["type"] == "extra_forbidden" else describe(first)
        raise ScenarioError(f"{place}: {fault}") from None


def _deeper(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {**data, **{key: _deeper(data[key], value) if isinstance(value, dict) and isinstance(data.get(key), dict)
                       else value for key, value in changes.items()}}
