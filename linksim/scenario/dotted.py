"""Dotted paths into a scenario: ``channel.speed_kmh``, ``methods.AR.predictor.order``.

A method is found by its name or number. A block given by its bare name is opened up on the way:
``predictor: ar`` with ``order`` set to 6 becomes ``predictor: {type: ar, order: 6}``.
"""

from __future__ import annotations

import re
from typing import Any

from linksim.core import registry
from linksim.core.messages import suggestion
from linksim.core.types import Section
from linksim.scenario.resolved import read_block
from linksim.scenario.schema import Link, Method, Scenario, whole_method
from linksim.scenario.yaml_text import MAX_DEPTH, Place


def replaced(data: Any, key: str, value: Any) -> Any:
    """A copy of nested dictionaries and lists with one value replaced.

    :raises KeyError: nothing can be set there; the text says why.
    """
    if key.count(".") > MAX_DEPTH:
        raise KeyError(f"more than {MAX_DEPTH} keys deep")
    if isinstance(data, list):
        index, rest = _item(data, key)
        copy = list(data)
        copy[index] = replaced(whole_method(data[index]), rest, value) if rest else value
        return copy
    if not isinstance(data, dict):
        raise KeyError(f"nothing can be set below {data!r}")
    head, _, rest = key.partition(".")
    if head == "sweep" and rest:  # an axis is one key, dots and all
        axes = data.get(head)
        if not isinstance(axes, dict | None):
            raise KeyError(f"nothing can be set below {axes!r}")
        return {**data, head: {**(axes or {}), rest: value}}
    if not rest:
        return {**data, head: value}
    child = data.get(head)
    if head in registry.KINDS:
        child = _opened(head, child, data)
    return {**data, head: replaced({} if child is None else child, rest, value)}


def place_of(data: Any, key: str) -> Place:
    """The path with list items by number; what is not there yet as it is written."""
    place: list[str | int] = []
    head: str | int
    while key:
        if isinstance(data, list):
            try:
                head, key = _item(data, key)
            except KeyError:
                return (*place, *key.split("."))
            data = data[head]
        else:
            head, _, key = key.partition(".")
            if head == "sweep" and key:
                return (*place, head, key)
            data = data.get(head) if isinstance(data, dict) else None
        place.append(head)
    return tuple(place)


def value_at(scenario: Scenario, key: str) -> Any:
    """The value of a field of a checked scenario; options of a block that it leaves out have their defaults.

    :raises KeyError: no such field; names the nearest.
    """
    node: Any = scenario
    while key:
        if isinstance(node, list):
            index, key = _item(node, key)
            node = node[index]
            continue
        head, _, key = key.partition(".")
        fields = list(type(node).model_fields) if isinstance(node, Section) else (
            list(node) if isinstance(node, dict) else [])
        if head not in fields:
            raise KeyError(f"unknown key {head!r}: {suggestion(head, fields)}")
        parent, node = node, node[head] if isinstance(node, dict) else getattr(node, head)
        if node is None and key and (section := _section_of(parent, head)):
            node = section()  # a section that is left out, as if it were empty
        if head in registry.KINDS and key and isinstance(parent, Section) and not isinstance(node, Section):
            opened = _opened(head, node, {"name": ""} if isinstance(parent, Method) else {})
            node = read_block(head, head, opened).options
    return node


def _section_of(parent: Any, field: str) -> type[Section] | None:
    """The section that a field may hold, None where it holds something else."""
    annotation = type(parent).model_fields[field].annotation if isinstance(parent, Section) else None
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, Section)), None)


def _opened(kind: str, block: Any, parent: dict[str, Any]) -> Any:
    """A block as a mapping, its default's name where it is left out."""
    if block is None:
        in_method = "name" in parent and "methods" not in parent  # a whole scenario has a name, too
        if kind == "feedback":
            if in_method:
                raise KeyError("this method has no feedback; give it a whole one first, e.g. {type: top_m}")
            return {}  # the scenario's section of that name
        if kind == "precoder" and in_method:
            raise KeyError("this method uses link.precoder; give it a whole one first, e.g. {type: rzf}")
        block = (Method if kind == "predictor" else Link).model_fields[kind].default
    return {"type": block} if isinstance(block, str) else block


def _item(items: list[Any], key: str) -> tuple[int, str]:
    """Which item of a list a path begins with, by name (the longest that fits) or number, and the path's rest."""
    names = [item if isinstance(item, str) else item.get("name") if isinstance(item, dict)
             else getattr(item, "name", None) for item in items]
    fits = [(len(name), -index) for index, name in enumerate(names)
            if isinstance(name, str) and (key == name or key.startswith(f"{name}."))]
    if fits:
        length, index = max(fits)
        return -index, key[length + 1:]
    head, _, rest = key.partition(".")
    if re.fullmatch("[0-9]{1,6}", head) and int(head) < len(items):
        return int(head), rest
    known = [name for name in names if isinstance(name, str)]
    raise KeyError(f"no {head!r} in this list: {suggestion(head, known)}")
