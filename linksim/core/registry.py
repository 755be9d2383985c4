"""Blocks by kind and name: `register` adds one, `catalogue` lists them, `create` builds one.

Built-in blocks are found by reading the source files under ``linksim/blocks`` and ``linksim/retrieval`` (their
``@register`` line, docstring and constructor), not by importing them: listing and validating need no torch, and a
block's options and defaults are written once, in its constructor.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pydantic

from linksim.core import types as option_types
from linksim.core.errors import ScenarioError
from linksim.core.faults import describe, nearest, other_kinds, suggestion

__all__ = [
    "KINDS", "BlockSpec", "block_class", "catalogue", "create", "find", "nearest", "register", "validate_options",
]

KINDS = ("predictor", "precoder", "feedback", "semantic", "universal", "metric", "bound", "channel_source", "cir_source",
         "retrieval_data")
"""What a scenario can name: blocks of the chain, measures, physical limits, sources of channels and of channel impulse
responses (plugins alone), and data sets for retrieval (`linksim.retrieval.data.RetrievalData`)."""

_FOLDERS = ("blocks", "retrieval")
"""Where built-in ones are."""


Requirement = Callable[[dict[str, Any], Any, Any], None]
"""Of a block's options, a scenario and a method, see `register`."""


@dataclass(frozen=True)
class BlockSpec:
    """What is known of a block without importing it.

    :param doc: the whole docstring.
    :param source: ``module:Class`` of a built-in block, the file of a plugged-in one.
    :param options: the constructor's keyword arguments as a pydantic model.
    :param min_history: history samples it needs; each option named in ``history_per_option`` adds its value
        times the factor given there.
    :param requires: what else it needs of a scenario, see `register`; ``module:function`` of a built-in block.
    :param facts: what only its kind has.
    """

    kind: str
    name: str
    doc: str
    source: str
    options: type[pydantic.BaseModel]
    min_history: int = 1
    history_per_option: dict[str, int] = field(default_factory=dict)
    trains: bool = False
    requires: str | Requirement | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.doc.partition("\n")[0]

    def required_history(self, options: dict[str, Any]) -> int:
        """History samples needed with these (validated) options."""
        return self.min_history + sum(
            factor * int(options[name] or 0) for name, factor in self.history_per_option.items()
        )


    def check_requirement(self, options: dict[str, Any], scenario: Any, method: Any = None) -> None:
        """Whether a scenario gives the block what it needs.

        :param options: validated ones.
        :param scenario: at one sweep point.
        :param method: the one that names the block; None for ``link.precoder``.
        :raises ScenarioError: it does not; says what is needed and the fix.
        """
        requires = self.requires
        if isinstance(requires, str):
            module, _, function = requires.partition(":")
            requires = getattr(import_module(module), function)
        if requires is not None:
            requires(options, scenario, method)


_plugins: dict[tuple[str, str], tuple[BlockSpec, type]] = {}


def register(kind: str, name: str, *, min_history: int = 1, history_per_option: dict[str, int] | None = None,
             trains: bool = False, requires: Requirement | None = None, **facts: Any) -> Callable[[type], type]:
    """Class decorator that makes a block available to scenario files under ``name``.

    A ``cir_source`` may also be a function: its arguments are the options, its result is the source.

    :param kind: one of `KINDS`.
    :param name: what the scenario file says.
    :param min_history: fewest history samples the block works with.
    :param history_per_option: extra samples per unit of a constructor option, e.g. ``{"order": 2}``.
    :param trains: the block is fitted on training drops before a run.
    :param requires: a function of the block's options, the scenario and the method that raises a
        `linksim.ScenarioError` where the block cannot work there (too few antennas or tones, sizes that do not divide,
        …). It is called when a scenario is validated, at every sweep point, before anything is built. That of a
        built-in block is imported from a module without torch, ``requirements`` beside it.
    :param facts: what only blocks of this kind have: a metric's unit, say.
    :raises ValueError: unknown kind, a name that is taken, or a class that is no torch module.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of block {kind!r}: one of {', '.join(KINDS)}")

    def decorate(cls: type) -> type:
        cls.block_name = name
        if cls.__module__.startswith(tuple(f"linksim.{folder}." for folder in _FOLDERS)):
            return cls  # found by its source
        source = _source_of(cls)
        # the same file again is an edit (a notebook's cell, a plugin changed on disk); another one is a clash
        taken = _plugins[kind, name][0].source if (kind, name) in _plugins else None
        if (kind, name) in _built_in() or taken not in (None, source):
            raise ValueError(f"there is already a {kind} {name!r} ({taken or 'built in'}): choose another name")
        _plugins[kind, name] = (
            BlockSpec(kind, name, inspect.cleandoc(cls.__doc__ or ""), source, _options_of_class(cls), min_history,
                      dict(history_per_option or {}), trains, requires, facts), cls)
        return cls

    return decorate


@cache
def _built_in() -> dict[tuple[str, str], BlockSpec]:
    package = Path(__file__).parents[1]
    paths = sorted(path for folder in _FOLDERS for path in (package / folder).rglob("*.py"))
    modules = {".".join(("linksim", *path.relative_to(package).with_suffix("").parts)):
               ast.parse(path.read_text(encoding="utf-8")).body for path in paths}
    found = {}
    for module, body in modules.items():
        for node in (node for node in body if isinstance(node, ast.ClassDef)):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "register":
                    constructed = _constructed(node, module, modules)
                    kind, name = (ast.literal_eval(argument) for argument in decorator.args)
                    extra = {k.arg: _imported(k.value.id, body) if k.arg == "requires" else ast.literal_eval(k.value)
                             for k in decorator.keywords}
                    found[kind, name] = BlockSpec(
                        kind, name, _doc(node, constructed), f"{module}:{node.name}",
                        _options_of_source(constructed), **extra,
                    )
    return found


def _imported(name: str, body: list[ast.stmt]) -> str:
    """``module:name`` of what a module's source imports under a name."""
    return next(f"{node.module}:{name}" for node in body
                if isinstance(node, ast.ImportFrom) and name in (alias.name for alias in node.names))


def catalogue(kind: str | None = None) -> list[BlockSpec]:
    """Every known block (of one kind), built in and plugged in, by kind and name."""
    specs = {**_built_in(), **{key: spec for key, (spec, _) in _plugins.items()}}
    return [spec for (k, _), spec in sorted(specs.items()) if kind in (None, k)]


def find(kind: str, name: str) -> BlockSpec:
    """The block of that name.

    :raises ScenarioError: no such block; names the nearest one.
    """
    plugged = _plugins.get((kind, name))
    spec = plugged[0] if plugged else _built_in().get((kind, name))
    if spec is None:
        near = nearest(name, [other.name for other in catalogue(kind)])
        raise ScenarioError(f"unknown {kind} {name!r}: did you mean {near!r}? (`linksim blocks` lists all)")
    return spec


def validate_options(spec: BlockSpec, options: dict[str, Any]) -> dict[str, Any]:
    """The block's options with types checked and defaults filled in.

    :raises ScenarioError: unknown option or a value out of range.
    """
    for option in options:
        if option not in spec.options.model_fields:
            raise ScenarioError(f"{spec.kind} {spec.name!r} has no option {option!r}: "
                                + suggestion(str(option), spec.options.model_fields))
    try:
        checked = spec.options.model_validate(options).model_dump()
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ScenarioError(f"{spec.kind} {spec.name!r}, option {first['loc'][0]!r}: {describe(first)}") from None
    for (option, *_), message in other_kinds(options, checked):
        raise ScenarioError(f"{spec.kind} {spec.name!r}, option {option!r}: {message}")
    return checked


def create(kind: str, name: str, options: dict[str, Any] | None = None) -> Any:
    """Build a block with validated options.

    :raises ScenarioError: unknown block or option.
    """
    values = validate_options(find(kind, name), options or {})
    return block_class(kind, name)(**values)


def block_class(kind: str, name: str) -> Any:
    """The class that `create` makes a block of (a function where a ``cir_source`` is one).

    :raises ScenarioError: unknown block.
    """
    spec = find(kind, name)
    if (kind, name) in _plugins:
        return _plugins[kind, name][1]
    module, _, cls = spec.source.partition(":")
    return getattr(import_module(module), cls)


def _source_of(cls: type) -> str:
    """The file of a class, or its module where there is none (a notebook)."""
    try:
        return inspect.getsourcefile(cls) or cls.__module__
    except (TypeError, OSError):
        return cls.__module__


def _model(name: str, fields: dict[str, tuple[Any, Any]]) -> type[pydantic.BaseModel]:
    return pydantic.create_model(name, __config__=pydantic.ConfigDict(extra="forbid"), **fields)


def _options_of_class(cls: type) -> type[pydantic.BaseModel]:
    is_function = inspect.isfunction(cls)
    # its own constructor, or that of a base in the same file or of one of linksim's
    makers = [] if is_function else [
        base for base in cls.__mro__ if "__init__" in vars(base)
        and (base.__module__ == cls.__module__ or base.__module__.startswith("linksim."))]
    if not is_function and not makers:
        return _model(cls.__name__, {})
    made_by = cls if is_function else makers[0].__init__
    hints = get_type_hints(made_by, include_extras=True)
    fields = {}
    for parameter in list(inspect.signature(made_by).parameters.values())[0 if is_function else 1:]:
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    return _model(cls.__name__, fields)


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)


def _constructed(node: ast.ClassDef, module: str, modules: dict[str, list[ast.stmt]]) -> ast.ClassDef:
    """The class itself, or if it has no constructor the base whose it uses, from its own file or another block's."""
    if _constructor(node):
        return node
    for base in (base.id for base in node.bases if isinstance(base, ast.Name)):
        known, home = _class_named(base, module, modules)
        if known and _constructor(constructed := _constructed(known, home, modules)):
            return constructed
    return node


def _class_named(name: str, module: str, modules: dict[str, list[ast.stmt]]) -> tuple[ast.ClassDef | None, str]:
    """A class that a module has or imports, and the module that has it."""
    for node in modules[module]:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node, module
        if isinstance(node, ast.ImportFrom) and node.module in modules and name in (a.name for a in node.names):
            return _class_named(name, node.module, modules)
    return None, module


def _doc(node: ast.ClassDef, constructed: ast.ClassDef) -> str:
    """The class's docstring, with the options of the base that it is constructed by."""
    doc = ast.get_docstring(node) or ""
    if constructed is node:
        return doc
    options = (ast.get_docstring(constructed) or "").partition("\n:param ")
    return f"{doc}\n\n:param {options[2]}" if options[1] else doc


def _options_of_source(node: ast.ClassDef) -> type[pydantic.BaseModel]:
    constructor = _constructor(node)
    if constructor is None:
        return _model(node.name, {})
    arguments = constructor.args.args[1:]
    defaults = [None] * (len(arguments) - len(constructor.args.defaults)) + constructor.args.defaults
    arguments, defaults = arguments + constructor.args.kwonlyargs, defaults + constructor.args.kw_defaults
    fields = {}
    for argument, default in zip(arguments, defaults):
        value = ... if default is None else ast.literal_eval(default)
        fields[argument.arg] = (_annotation(argument.annotation, node.name), value)
    return _model(node.name, fields)


def _annotation(node: ast.expr | None, where: str) -> Any:
    """The type written in a constructor: a builtin, a name of `linksim.core.types`, Literal[...], A | B, None."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name) if name in ("int", "float", "str", "bool"):
            return {"int": int, "float": float, "str": str, "bool": bool}[name]
        case ast.Name(id=name) if hasattr(option_types, name):
            return getattr(option_types, name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _annotation(left, where) | _annotation(right, where)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            return Literal[ast.literal_eval(values)]
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[_annotation(item, where)]
    raise TypeError(f"{where}: option type {ast.unparse(node) if node else 'missing'!r} is not understood")
