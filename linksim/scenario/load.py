"""Read a scenario file: YAML to a checked `Scenario`, every fault as one line with file, line, key and fix."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pydantic
import yaml

from linksim import registry
from linksim.errors import ScenarioError
from linksim.scenario.schema import STAGE_OF_SECTION, Scenario, Section, check

Path_ = tuple[str | int, ...]


def load_scenario(path: str | Path, overrides: dict[str, Any] | None = None,
                  plugins: list[str] | None = None) -> Scenario:
    """Load and check a scenario file.

    :param path: a YAML file.
    :param overrides: values by dotted path, as ``--set`` gives them; methods may be addressed by name.
    :param plugins: further plugin files.
    :returns: the scenario; ``name`` is the file's stem unless the file says otherwise, plugin paths are absolute.
    :raises ScenarioError: anything wrong, in the file, an override or a sweep point; nothing has been written.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError(f"{path}: no such scenario file{_near_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from None
    data, lines = _parse(text, path)
    data.setdefault("name", path.stem)
    data["plugins"] = _plugin_paths(data.get("plugins", []), path, plugins or [])
    return scenario_from_dict(data, overrides, source=str(path), lines=lines)


def scenario_from_dict(data: dict[str, Any], overrides: dict[str, Any] | None = None, *,
                       source: str = "scenario", lines: dict[Path_, int] | None = None) -> Scenario:
    """Check a scenario given as a dictionary, with overrides applied and every sweep point tried.

    :raises ScenarioError: anything wrong.
    """
    lines = lines or {}
    for key, value in (overrides or {}).items():
        data, lines = _override(data, lines, key, value, source)
    scenario = _validated(data, source, lines)
    load_plugins(scenario.plugins)
    _checked(scenario, source, lines, data)
    for point in sweep_points(scenario, source, lines):
        _checked(point_scenario(scenario, point), source, lines, data, point)
    return scenario


def load_plugins(paths: list[str]) -> None:
    """Execute the plugin files, which register their blocks.

    :raises ScenarioError: a missing file, or the plugin's own exception.
    """
    for path in paths:
        name = f"linksim_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
        if name in sys.modules:
            continue
        if not Path(path).is_file():
            raise ScenarioError(f"plugins: no such file: {path}")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise ScenarioError(f"plugin {path} failed: {type(error).__name__}: {error}") from error


def sweep_points(scenario: Scenario, source: str = "scenario", lines: dict[Path_, int] | None = None
                 ) -> list[dict[str, float | str]]:
    """Every combination of the sweep axes' values, first axis slowest; one empty point without axes.

    :raises ScenarioError: an axis that names no field that can be swept.
    """
    for key in scenario.sweep:
        try:
            value = _get(scenario, key)
        except KeyError as error:
            raise ScenarioError(_place(source, lines or {}, ("sweep", key)) + f": {error.args[0]}") from None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ScenarioError(
                _place(source, lines or {}, ("sweep", key)) + f": not a number or a name (it is {value!r})"
            )
        if key.partition(".")[0] not in STAGE_OF_SECTION:
            raise ScenarioError(
                _place(source, lines or {}, ("sweep", key)) + ": only fields of "
                + ", ".join(STAGE_OF_SECTION) + " can be swept"
            )
    return [dict(zip(scenario.sweep, values)) for values in itertools.product(*scenario.sweep.values())]


def axis_stage(key: str) -> str:
    """The first stage of the chain that a sweep axis invalidates."""
    return STAGE_OF_SECTION[key.partition(".")[0]]


def point_scenario(scenario: Scenario, point: dict[str, float]) -> Scenario:
    """The scenario with one sweep point's values put in, without axes.

    :raises ScenarioError: a value out of its field's range.
    """
    data = scenario.model_dump()
    data["sweep"] = {}
    for key, value in point.items():
        data = _set(data, key, value)
    try:
        return Scenario.model_validate(data)
    except pydantic.ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ScenarioError(f"sweep: {key}: {_message(error.errors()[0])}") from None


def scenario_hash(scenario: Scenario) -> str:
    """Identity of the numbers a scenario produces: all but its texts, stopping rule, bounds on time and looks."""
    data = scenario.model_dump(mode="json", exclude={"description": True, "run": {"stopping"}})
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


# --- YAML with line numbers -----------------------------------------------------------------------------------

def _parse(text: str, path: Path) -> tuple[dict[str, Any], dict[Path_, int]]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Path_, int] = {}
        _walk(node, (), lines, path)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "not YAML"
        raise ScenarioError(f"{where}: {problem}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{path}: a scenario is a mapping of keys to values; see `linksim schema`")
    return data, lines


def _walk(node: yaml.Node | None, at: Path_, lines: dict[Path_, int], path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, key.value)
            if here in lines:
                raise ScenarioError(f"{path}:{key.start_mark.line + 1}: {_dotted(here)} is given twice")
            lines[here] = key.start_mark.line + 1
            _walk(value, here, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*at, index)] = value.start_mark.line + 1
            _walk(value, (*at, index), lines, path)


def _plugin_paths(listed: Any, path: Path, extra: list[str]) -> Any:
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        return listed  # the schema says what is wrong
    beside = [str((path.parent / item).resolve()) for item in listed]
    return [*beside, *(str(Path(item).resolve()) for item in extra)]


def _near_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("scenarios")
    names = [file.name for file in folder.glob("*.y*ml")] if folder.is_dir() else []
    return f": did you mean {folder / registry.nearest(path.name, names)}?" if names else ""


# --- validation to one line -----------------------------------------------------------------------------------

def _validated(data: dict[str, Any], source: str, lines: dict[Path_, int]) -> Scenario:
    try:
        return Scenario.model_validate(data)
    except pydantic.ValidationError as error:
        # an unknown key explains the others, so it goes first
        first = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")[0]
        raise ScenarioError(_place(source, lines, first["loc"]) + ": " + _message(first)) from None


def _checked(scenario: Scenario, source: str, lines: dict[Path_, int], data: dict[str, Any],
             point: dict[str, float] | None = None) -> None:
    try:
        check(scenario)
    except ScenarioError as error:
        key, _, message = str(error).partition(": ")
        loc = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        at = f" (at sweep point {point})" if point else ""
        raise ScenarioError(f"{_place(source, lines, loc)}: {message}{at}") from None


def _message(error: dict[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        *parents, key = (part for part in error["loc"] if not isinstance(part, int))
        near = registry.nearest(str(key), _fields_at(tuple(parents)))
        return f"unknown key {key!r}: did you mean {near!r}?"
    if error["type"] == "missing":
        return "missing; it has no default"
    text = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    return text if isinstance(given, dict | list) or given is None else f"{text} (given {given!r})"


def _fields_at(parents: Path_) -> list[str]:
    model: Any = Scenario
    for part in parents:
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, Section))
    return list(model.model_fields)


def _place(source: str, lines: dict[Path_, int], loc: tuple[Any, ...]) -> str:
    loc = tuple(loc)
    known = next((loc[:end] for end in range(len(loc), 0, -1) if loc[:end] in lines), None)
    where = f"{source}:{lines[known]}" if known and lines[known] else source
    if known and lines[known] == 0:
        where = "--set"
    return f"{where}: {_dotted(loc)}" if loc else where


def _dotted(loc: Path_) -> str:
    return ".".join(str(part) for part in loc)


# --- dotted paths ---------------------------------------------------------------------------------------------

def _split(key: str) -> list[str]:
    return key.split(".")


def _override(data: dict[str, Any], lines: dict[Path_, int], key: str, value: Any, source: str
              ) -> tuple[dict[str, Any], dict[Path_, int]]:
    try:
        data = _set(data, key, value)
    except KeyError as error:
        raise ScenarioError(f"--set {key}: {error.args[0]}") from None
    # line 0 marks what came from the command line; the paths below it are no longer the file's
    loc = tuple(int(part) if part.isdigit() else part for part in _split(key))
    kept = {at: line for at, line in lines.items() if at[: len(loc)] != loc}
    return data, {**kept, loc: 0}


def _set(data: Any, key: str, value: Any) -> Any:
    """A copy of nested dicts and lists with one value replaced; a method is found by name or number."""
    head, _, rest = key.partition(".")
    if isinstance(data, list):
        index, rest = _index(data, key)
        copy = list(data)
        copy[index] = _set(data[index], rest, value) if rest else value
        return copy
    if not isinstance(data, dict):
        raise KeyError(f"nothing can be set below {data!r}")
    if not rest:
        return {**data, head: value}
    child = data.get(head, {})
    return {**data, head: _set({} if child is None else child, rest, value)}


def _index(items: list[Any], key: str) -> tuple[int, str]:
    """Which item of a list a path begins with, by number or by name, and the rest of the path."""
    head, _, rest = key.partition(".")
    if head.isdigit() and int(head) < len(items):
        return int(head), rest
    for index, item in enumerate(items):
        name = item if isinstance(item, str) else (
            item.get("name") if isinstance(item, dict) else getattr(item, "name", None))
        if isinstance(name, str) and (key == name or key.startswith(name + ".")):
            return index, key[len(name) + 1:]
    raise KeyError(f"no item {head!r} in this list")


def _get(node: Any, key: str) -> Any:
    while key:
        if isinstance(node, list):
            index, key = _index(node, key)
            node = node[index]
            continue
        head, _, key = key.partition(".")
        fields = list(node) if isinstance(node, dict) else list(getattr(type(node), "model_fields", []))
        if head not in fields:
            near = f": did you mean {registry.nearest(head, fields)!r}?" if fields else ""
            raise KeyError(f"unknown key {head!r}{near}")
        node = node[head] if isinstance(node, dict) else getattr(node, head)
    return node
