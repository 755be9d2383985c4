"""A dictionary against the schema: every fault as one line with file, line, key and fix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pydantic
from pydantic_core import ErrorDetails

from linksim.core.errors import ScenarioError
from linksim.core.messages import describe, other_kinds, suggestion
from linksim.core.types import Section
from linksim.scenario.schema import Scenario
from linksim.scenario.source import Source
from linksim.scenario.yaml_text import Place

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
_LONGEST_NAME = 255
"""Bytes of a file's name, in any common file system."""

BLOCK_FORM = "a block is written as its name or as {type: name, option: value}"


def validated(data: dict[str, Any], source: Source) -> Scenario:
    """The scenario of a dictionary.

    :param source: where each value stands.
    :raises ScenarioError: the first fault, an unknown key before all others.
    """
    try:
        scenario = Scenario.model_validate(data)
    except pydantic.ValidationError as error:
        # an unknown key explains the others, so it goes first
        first = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")[0]
        place, message = within(first["loc"], data), _message(first)
        if not place:  # a rule over the whole scenario: its text begins with the section, then perhaps the key
            section, _, rest = message.partition(": ")
            inner = next((at for at in source.lines if at[:1] == (section,) and len(at) == 2 and str(at[1]) in rest),
                         None)
            place, message = (inner or (section,), rest) if section in Scenario.model_fields else ((), message)
        raise ScenarioError(f"{source.cite(place)}: {message}") from None
    for place, message in other_kinds(data, scenario):
        raise ScenarioError(f"{source.cite(place)}: {message}")
    return scenario


def _texts(data: Any, at: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every text of a dictionary, keys included, with its place."""
    if isinstance(data, str):
        yield at, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _texts(key, (*at, key))
            yield from _texts(value, (*at, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _texts(value, (*at, index))


def check_texts(data: Any, source: Source) -> None:
    """Whether every text and key can be part of a path and written as UTF-8.

    :raises ScenarioError: a null character, or half of a character; a name that no file can have, but in the
        description.
    """
    for place, text in _texts(data):
        if found := _UNWRITABLE.search(text):
            raise ScenarioError(f"{source.cite(place)}: {ascii(found[0])[1:-1]} cannot be written to any file")
        if place != ("description",) and any(len(part.encode()) > _LONGEST_NAME for part in text.split("/")):
            raise ScenarioError(f"{source.cite(place)}: names have at most {_LONGEST_NAME} characters (given "
                                f"{text[:20]!r}... of {len(text)})")


def _message(fault: ErrorDetails) -> str:
    if fault["type"] == "extra_forbidden":
        *parents, key = (part for part in fault["loc"] if not isinstance(part, int))
        fields = list(_model_at(tuple(parents)).model_fields)
        elsewhere = [path for path in _paths(Scenario) if path.rpartition(".")[2] == key]
        near = suggestion(str(key), fields)
        if elsewhere:
            near = "it belongs to no section: write it above" if elsewhere[0] == key else \
                f"did you mean {elsewhere[0]!r}?"
        return f"unknown key {key!r}: {near}"
    if fault["loc"][-1:] and fault["loc"][-1] in ("str", "dict[str,any]"):
        return f"{BLOCK_FORM} (given {fault['input']!r})"
    if fault["type"] == "string_pattern_mismatch":
        field = _model_at(fault["loc"][:-1]).model_fields[str(fault["loc"][-1])]
        return f"{field.description} (given {fault['input']!r}; pattern {fault['ctx']['pattern']})"
    return describe(fault)


def _model_at(parents: Place) -> type[Section]:
    model: type[Section] = Scenario
    for part in parents:
        if not isinstance(part, int):
            annotation = model.model_fields[part].annotation
            candidates = [annotation, *getattr(annotation, "__args__", ())]
            model = next(c for c in candidates if isinstance(c, type) and issubclass(c, Section))
    return model


def _paths(model: type[Section], at: str = "") -> Iterator[str]:
    """Dotted paths of all fields, lists left out."""
    for name, field in model.model_fields.items():
        yield at + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _paths(field.annotation, f"{at}{name}.")


def within(place: tuple[Any, ...], data: Any) -> Place:
    """The part of a fault's place that is in the data: pydantic appends the member of a union that it tried."""
    for end, part in enumerate(place):
        last = end == len(place) - 1
        if isinstance(data, dict) and (part in data or last):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return place[:end]
    return place
