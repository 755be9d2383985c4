"""Options of a block: the arguments of its constructor, as a pydantic model, and as JSON to make the model of again.

Options that several blocks have in common are a group: a frozen pydantic model that constructors take as one argument.
In a scenario file its fields are options of the block like any other.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import re
from collections.abc import Callable, Iterator
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pydantic
from pydantic.fields import FieldInfo

Fields = dict[str, tuple[Any, Any]]
"""Type and default of each option, in pydantic's form: ``...`` where there is no default."""

_PLAIN = {kind.__name__: kind for kind in (int, float, str, bool, list, NoneType)}


class Only:
    """Which fields of a group are options: ``Annotated[Group, Only("first", "second")]``."""

    def __init__(self, *names: str) -> None:
        self.names = names


def fields_of(made: Callable[..., Any]) -> Fields:
    """The options of a class or function.

    :raises TypeError: two of one name.
    """
    found: Fields = {}
    for name, kind, default in _arguments(made):
        group = _group(kind)
        fields = {name: (kind, default)} if group is None else _fields_of_group(*group, default)
        if twice := found.keys() & fields.keys():
            raise TypeError(f"option {min(twice)!r} is there twice")
        found |= fields
    return found


def construct(made: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Call a class or function with its options, those of a group put together."""
    arguments = dict(options)
    for name, kind, default in _arguments(made):
        if (group := _group(kind)) is not None:
            given = {field: arguments.pop(field) for field in group[1] if field in arguments}
            arguments[name] = group[0](**({} if default is ... else dict(default)) | given)
    return made(**arguments)


def documentation(made: Callable[..., Any], fields: Fields) -> str:
    """The docstring, with what the classes that it extends and groups say of options where it is silent."""
    text = inspect.cleandoc(made.__doc__ or "")
    silent = fields.keys() - dict(_paragraphs(made))
    if not silent:
        return text
    others = [*(_lineage(made) if isinstance(made, type) else []),
              *(group[0] for _, kind, _ in _arguments(made) if (group := _group(kind)))]
    said = {name: paragraph for other in reversed(others) for name, paragraph in _paragraphs(other)}
    between = "\n" if re.search(r"^:param .*(\n .*)*\Z", text, re.MULTILINE) else "\n\n"
    return between.join([text, "\n".join(said[name] for name in fields if name in silent & said.keys())]).strip()


def model_of(name: str, fields: Fields) -> type[pydantic.BaseModel]:
    """Checks options and fills in defaults; another option is refused."""
    made: type[pydantic.BaseModel] = pydantic.create_model(  # type: ignore[call-overload]  # fields by name
        name, __config__=pydantic.ConfigDict(extra="forbid"), **fields)
    return made


def to_json(fields: Fields) -> dict[str, Any]:
    """What `from_json` makes the same fields of.

    :raises TypeError: a type that JSON has no form for; names the option.
    """
    found = {}
    for name, (kind, default) in fields.items():
        try:
            found[name] = {"type": _described(kind)} | ({} if default is ... else {"default": _plain(default)})
            if _schema(kind) != _schema(_kind(found[name]["type"])):
                raise TypeError("its type has more to it than a range")
        except TypeError as error:
            raise TypeError(f"option {name!r}: {error}") from None
    return found


def _schema(kind: Any) -> Any:
    return pydantic.TypeAdapter(kind).core_schema


def from_json(described: dict[str, Any]) -> Fields:
    """See `to_json`."""
    return {name: (_kind(option["type"]), option.get("default", ...)) for name, option in described.items()}


def _described(kind: Any) -> Any:
    """A type in JSON: a plain one's name, or what it is made with and of what."""
    parts = get_args(kind)
    match get_origin(kind):
        case None if kind in _PLAIN.values():
            return kind.__name__
        case None if hasattr(kind, "__value__"):  # type Name = …
            return _described(kind.__value__)
        case origin if origin in (Union, UnionType):
            return ["union", *map(_described, parts)]
        case origin if origin is list:
            return ["list", _described(parts[0])]
        case origin if origin is Literal:
            return ["literal", *map(_plain, parts)]
        case origin if origin is Annotated:
            marks = [mark for part in parts[1:] for mark in (part.metadata if isinstance(part, FieldInfo) else [part])]
            limits = {name: value for mark in marks for name, value in _limits(mark).items()}
            return ["limited", _described(parts[0]), {name: _plain(value) for name, value in limits.items()}]
    raise TypeError(f"type {getattr(kind, '__name__', kind)} is not understood: write a number, text, true or false, "
                    "Literal, list, a union of these, or one with a range as in linksim.core.types")


def _limits(mark: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(mark) and not isinstance(mark, type):
        return dataclasses.asdict(mark)
    return getattr(mark, "__dict__", {})


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is not None and type(value) not in (int, float, str, bool):
        raise TypeError(f"{value!r} is no number, text, true, false, None or list of these")
    return value


def _kind(described: Any) -> Any:
    if isinstance(described, str):
        return _PLAIN[described]
    form, *parts = described
    match form:
        case "union":
            return functools.reduce(operator.or_, map(_kind, parts))
        case "list":
            return GenericAlias(list, (_kind(parts[0]),))
        case "literal":
            return Literal[tuple(parts)]
        case "limited":
            return Annotated[_kind(parts[0]), pydantic.Field(**parts[1])]
    raise ValueError(f"no type: {described!r}")


def _arguments(made: Callable[..., Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, type and default of what a function, or a class's constructor, takes."""
    if isinstance(made, type):
        if not (lineage := _lineage(made)):
            return
        made = vars(lineage[-1])["__init__"]
        parameters = list(inspect.signature(made).parameters.values())[1:]
    else:
        parameters = list(inspect.signature(made).parameters.values())
    kinds = get_type_hints(made, include_extras=True)
    for parameter in parameters:
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield (parameter.name, kinds.get(parameter.name, Any),
                   ... if parameter.default is parameter.empty else parameter.default)


def _lineage(made: type) -> list[type]:
    """The class and those it extends, up to the one with the constructor: of its own file, or of linksim."""
    found = []
    for base in made.__mro__:
        if base.__module__ == made.__module__ or base.__module__.startswith("linksim."):
            found.append(base)
            if "__init__" in vars(base):
                return found
    return []


def _group(kind: Any) -> tuple[type[pydantic.BaseModel], tuple[str, ...]] | None:
    """A group and which of its fields are options; None for any other type."""
    group, *marks = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    if not (inspect.isclass(group) and get_origin(group) is None and issubclass(group, pydantic.BaseModel)):
        return None
    return group, next((mark.names for mark in marks if isinstance(mark, Only)), tuple(group.model_fields))


def _fields_of_group(group: type[pydantic.BaseModel], names: tuple[str, ...], default: Any) -> Fields:
    kinds = get_type_hints(group, include_extras=True)
    usual = {name: ... if field.is_required() else field.get_default(call_default_factory=True)
             for name, field in group.model_fields.items()}
    return {name: (kinds[name], usual[name] if default is ... else getattr(default, name)) for name in names}


def _paragraphs(made: Any) -> list[tuple[str, str]]:
    """What a docstring says of each parameter, with the name."""
    text = inspect.cleandoc(made.__doc__ or "")
    return [(found[1], found[0]) for found in re.finditer(r"^:param (\w+):.*(?:\n +.*)*", text, re.MULTILINE)]
