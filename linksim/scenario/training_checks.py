"""What `training` and the methods' own say of it cannot say together."""

from __future__ import annotations

from collections.abc import Callable

import pydantic

from linksim.errors import ScenarioError
from linksim.faults import describe, suggestion
from linksim.scenario.schema import (
    Method,
    Scenario,
    block_of,
    codec_of,
    has_trained_codec,
    is_trained,
    trained_methods,
    training_channel,
    training_of,
)
from linksim.scenario.section import Section
from linksim.scenario.training import Training, merged


def check_training_sections(scenario: Scenario) -> None:
    """How trained methods are trained, and that the others say nothing of it."""
    for index, method in enumerate(scenario.methods):
        if not is_trained(method):
            if method.training is not None:
                raise ScenarioError(f"methods.{index}.training: {method.name!r} is not trained")
            continue
        own = set() if method.training is None else method.training.model_dump(exclude_none=True).keys()

        def place(field: str, own: set[str] = own, index: int = index) -> str:
            return f"methods.{index}.training.{field}" if field in own else f"training.{field}"

        try:
            training = training_of(scenario, method)
        except ScenarioError as error:
            key, _, message = str(error).partition(": ")
            raise ScenarioError(f"{f'methods.{index}.' if own else ''}{key}: {message}") from None
        try:
            channel = training_channel(scenario.channel, training.channel)
        except ScenarioError as error:
            raise ScenarioError(f"{place('channel')}{error}") from None
        if training.csi_snr_db is not None and scenario.acquisition.type == "perfect":
            raise ScenarioError(f"{place('csi_snr_db')}: acquisition.type is perfect: there is no noise to vary")
        if training.teacher:
            teachers = {other.name: other for other in trained_methods(scenario) if other.name != method.name}
            check_teacher(training.teacher, method, teachers, place("teacher"),
                          lambda other: training_of(scenario, other).teacher)
        if training.start_from:
            others = {other.name: other for other in trained_methods(scenario) if other.name != method.name
                      and block_of(other.predictor) == block_of(method.predictor)}
            _check_start(training.start_from, others, place("start_from"),
                         lambda other: training_of(scenario, other).start_from)
        if training.fresh_drops and channel.source == "files" and channel.files.generator is None:
            raise ScenarioError(f"{place('fresh_drops')}: a training file has no other drops in the next epoch")


def check_codec_training(scenario: Scenario, index: int, method: Method) -> None:
    """How a codec is trained, where it is."""
    place = f"methods.{index}.codec_training"
    if not has_trained_codec(method):
        raise ScenarioError(f"{place}: {method.name!r} has no codec that is trained")
    training = checked_training(scenario, method.codec_training, place)
    if training.teacher:
        raise ScenarioError(f"{place}.teacher: codecs have no teachers")
    if training.start_from:
        same = codec_of(scenario, method)
        others = {other.name: other for other in scenario.methods if other.name != method.name
                  and other.feedback is not None and codec_of(scenario, other) == same}
        _check_start(training.start_from, others, f"{place}.start_from",
                     lambda other: merged(scenario.training, other.codec_training).start_from)


def checked_training(scenario: Scenario, own: Section | None, place: str) -> Training:
    """How one block of a method is trained, no field left empty.

    :param own: what the method says of it.
    :param place: of that, for messages.
    :raises ScenarioError: fields that contradict each other, or a channel that cannot be.
    """
    try:
        training = merged(scenario.training, own)
    except pydantic.ValidationError as error:
        raise ScenarioError(f"{place}: {describe(error.errors()[0])}") from None
    try:
        training_channel(scenario.channel, training.channel)
    except ScenarioError as error:
        raise ScenarioError(f"{place}.channel{error}") from None
    return training


def check_teacher(teacher: str, method: Method, others: dict[str, Method], place: str,
                  teacher_of: Callable[[Method], str]) -> None:
    """Who teaches is trained, and has no teacher itself.

    :param others: methods that could teach, by name.
    :raises ScenarioError: it is none of them, or is taught.
    """
    if teacher not in others:
        known = suggestion(teacher, list(others)) if others else "no other method is trained"
        raise ScenarioError(f"{place}: no trained method {teacher!r} to teach {method.name!r}: {known}")
    if teacher_of(others[teacher]):
        raise ScenarioError(f"{place}: {teacher!r} has a teacher itself; one that has none can teach")


def _check_start(name: str, others: dict[str, Method], place: str, start_of: Callable[[Method], str]) -> None:
    """What a training starts from: the same block with the same options, which starts from nothing itself."""
    if name not in others:
        known = suggestion(name, list(others)) if others else "no other method has the same block and options"
        raise ScenarioError(f"{place}: no trained method {name!r} to start from: {known}")
    if start_of(others[name]):
        raise ScenarioError(f"{place}: {name!r} starts from another method itself; name one that does not")
