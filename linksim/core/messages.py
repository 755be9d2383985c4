"""Faults in plain words: what pydantic found, and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from linksim.core.types import SMALLEST

_FEW = 12
"""As many names are listed in full where none is close."""

_NEEDED = {
    "model_type": "keys and values", "model_attributes_type": "keys and values", "dict_type": "keys and values",
    "list_type": "a list", "string_type": "a text", "bool_type": "true or false", "bool_parsing": "true or false",
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number", "float_type": "a number", "float_parsing": "a number",
    "finite_number": "a finite number", "invalid_key": "a text as key",
}
_LIMITS = {
    "greater_than": ("above", "gt"), "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"), "less_than_equal": ("at most", "le"),
}


def nearest(name: str, names: Iterable[str]) -> str:
    """The closest of some names, for error messages; the name itself where there is none."""
    return (difflib.get_close_matches(name, list(names), 1, 0.0) or [name])[0]


def suggestion(name: str, names: Iterable[str]) -> str:
    """``did you mean …?``, with all names behind it where none is close and they are few."""
    names = list(names)
    if not names:
        return "none is known here"
    text = f"did you mean {nearest(name, names)!r}?"
    close = difflib.get_close_matches(name, names, 1, 0.6)
    return text if close or len(names) > _FEW else f"{text} Known here: {', '.join(names)}"


def describe(fault: Mapping[str, Any]) -> str:
    """One of pydantic's faults (an item of ``ValidationError.errors()``) in a few words, with the value given."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "missing":
        return "missing; it has no default"
    if kind == "float_type" and type(fault.get("input")) is int:  # beyond what a float can hold
        text = "a smaller number needed"
    elif kind in _LIMITS and isinstance(fault.get("input"), str):  # converted before it was compared
        text = "a number needed"
    elif kind in _NEEDED:
        text = f"{_NEEDED[kind]} needed"
    elif kind in _LIMITS:
        words, limit = _LIMITS[kind]
        if context[limit] == SMALLEST and fault["input"] <= 0:  # what anybody would say
            words, context = "above", {limit: 0.0}
        text = f"must be {words} {context[limit]:g}"
    elif kind == "literal_error":
        text = f"must be {context['expected']}"
    elif kind == "too_long":
        text = f"at most {context['max_length']} items are possible"
    elif kind == "too_short":
        text = f"at least {context['min_length']} item{'s' * (context['min_length'] > 1)} needed"
    else:
        text = fault["msg"].removeprefix("Value error, ")
    given = fault.get("input")
    if kind == "value_error" and isinstance(given, dict | list):
        return text
    return f"{text} (given {_short(given)})"


def other_kinds(given: Any, checked: Any, at: tuple[str | int, ...] = ()
                ) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where one kind of value stands for another, which pydantic would convert: true or yes for a number, a number in
    quotes, a number or a text for true or false. What each should be, in words.

    :param given: as read.
    :param checked: as validated: models, dictionaries and lists of the same layout.
    """
    if isinstance(given, bool | str | int | float):
        if isinstance(checked, bool):
            if not isinstance(given, bool):
                yield at, f"true or false needed (given {_short(given)})"
        elif isinstance(checked, int | float) and isinstance(given, bool):
            yield at, "a number needed (given true or false)"
        elif isinstance(checked, int | float) and isinstance(given, str):
            yield at, f"a number needed (given {_short(given)})"
    elif isinstance(given, dict):
        for key, value in given.items():
            child = checked.get(key) if isinstance(checked, dict) else getattr(checked, str(key), None)
            yield from other_kinds(value, child, (*at, key))
    elif isinstance(given, list | tuple) and isinstance(checked, list | tuple):
        for index, (value, child) in enumerate(zip(given, checked)):
            yield from other_kinds(value, child, (*at, index))


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        text = f"a {type(value).__name__} that is too large to print"
    return text if len(text) <= 40 else f"{text[:37]}..."
