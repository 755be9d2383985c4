"""Read a scenario file: YAML to a checked `Scenario`, every fault as one line with file, line, key and fix."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import yaml

from linksim.errors import ScenarioError
from linksim.faults import booleans_as_numbers, describe, suggestion
from linksim.scenario.channel import NOT_DRAWN, later_fields
from linksim.scenario.checks import check
from linksim.scenario.dotted import place_of, replaced, value_at
from linksim.scenario.schema import (
    STAGE_OF_SECTION,
    Feedback,
    Scenario,
    Section,
    checkpoint_of,
    later_method_fields,
    later_run_fields,
    trained_methods,
    training_of,
)
from linksim.scenario.source import Place, Source, dotted, parse, read_text
from linksim.scenario.training import later_training_fields

BLOCK_FORM = "a block is written as its name or as {type: name, option: value}"


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
    data, source = parse(read_text(path), path)
    data.setdefault("name", re.sub(r"[^\w.-]+", "_", path.stem))
    listed = data.get("plugins", [])
    if isinstance(listed, list) and all(isinstance(item, str) for item in listed):  # else the schema objects
        data["plugins"] = [str((path.parent / item).resolve()) for item in listed]
        for extra in plugins or []:
            source = source.overridden(("plugins", len(data["plugins"])), "--plugin")
            data["plugins"].append(str(Path(extra).resolve()))
    data = _with_checkpoints_from(path.parent, _with_paths_from(path.parent, data))
    return scenario_from_dict(data, overrides, source)


def scenario_from_dict(data: dict[str, Any], overrides: dict[str, Any] | None = None,
                       source: Source | None = None) -> Scenario:
    """Check a scenario given as a dictionary, with overrides applied and every sweep point tried.

    :raises ScenarioError: anything wrong.
    """
    source = source or Source()
    for key, value in (overrides or {}).items():
        try:
            data, source = replaced(data, key, value), source.overridden(place_of(data, key), "--set")
        except KeyError as error:
            raise ScenarioError(f"--set {key}: {error.args[0]}") from None
        except ScenarioError as error:
            raise ScenarioError(f"--set {key}: {error}") from None
    data = _completed(data, source)
    scenario = _validated(data, source)
    for index, plugin in enumerate(scenario.plugins):
        try:
            load_plugins([plugin])
        except ScenarioError as error:
            raise ScenarioError(f"{source.cite(('plugins', index))}: {error}") from error
    _checked(scenario, data, source)
    for key in scenario.sweep:
        try:
            _check_axis(scenario, key)
        except ScenarioError as error:
            raise ScenarioError(f"{source.cite(('sweep', key))}: {error}") from None
    for point in sweep_points(scenario):
        try:
            resolved = point_scenario(scenario, point)
        except ScenarioError as error:
            raise _at_point(scenario, source, point, str(error)) from None
        _checked(resolved, data, source, point)
    _check_training_drops(scenario, source)
    return scenario


def _with_paths_from(folder: Path, data: dict[str, Any]) -> dict[str, Any]:
    """Paths of channel files and scenes relative to the scenario file's folder."""
    channel = data.get("channel")
    if not isinstance(channel, dict):
        return data
    changed = dict(channel)
    for section, keys in (("files", ("path", "training_path")), ("ray_traced", ("scene",))):
        if isinstance(given := channel.get(section), dict):
            changed[section] = {**given, **{
                key: str((folder / given[key]).resolve()) for key in keys
                if isinstance(given.get(key), str) and given[key] and (section == "files" or given[key][-4:] == ".xml")
            }}
    return {**data, "channel": changed}


def _with_checkpoints_from(folder: Path, data: dict[str, Any]) -> dict[str, Any]:
    """Checkpoints that methods name relative to the scenario file's folder."""
    methods = data.get("methods")
    if not isinstance(methods, list):
        return data

    def resolved(method: Any) -> Any:
        predictor = method.get("predictor") if isinstance(method, dict) else None
        if not isinstance(predictor, dict) or not isinstance(predictor.get("checkpoint"), str):
            return method
        return {**method, "predictor": {**predictor, "checkpoint": str((folder / predictor["checkpoint"]).resolve())}}

    return {**data, "methods": [resolved(method) for method in methods]}


def _completed(data: dict[str, Any], source: Source) -> dict[str, Any]:
    """What the channel files say, where the scenario takes its channels from files and leaves it out; the digest of a
    scene of the user."""
    channel, sweep = data.get("channel"), data.get("sweep")
    if isinstance(channel, dict) and channel.get("source") == "ray_traced":
        return _with_scene_digest(data, channel, source)
    if not isinstance(channel, dict) or channel.get("source") != "files":
        return data
    from linksim.channel.files.agreement import completed

    axes = sweep if isinstance(sweep, dict) else {}
    swept = {key.removeprefix("channel.") for key in map(str, axes) if key.startswith("channel.")}
    try:
        return {**data, "channel": completed(channel, swept)}
    except ScenarioError as error:
        key, _, message = str(error).partition(": ")
        raise ScenarioError(f"{source.cite(('channel', *key.split('.')))}: {message}") from None


def _with_scene_digest(data: dict[str, Any], channel: dict[str, Any], source: Source) -> dict[str, Any]:
    options = channel.get("ray_traced")
    if not isinstance(options, dict) or not isinstance(scene := options.get("scene"), str) or scene[-4:] != ".xml":
        return data
    from linksim.channel.ray_traced.scene import scene_digest

    try:
        found = scene_digest(scene)
    except ScenarioError as error:
        message = str(error).removeprefix("scene: ")
        raise ScenarioError(f"{source.cite(('channel', 'ray_traced', 'scene'))}: {message}") from None
    if options.get("scene_sha256") not in (None, "", found):
        raise ScenarioError(f"{source.cite(('channel', 'ray_traced', 'scene_sha256'))}: {scene} has another digest, "
                            f"{found}: it has changed")
    return {**data, "channel": {**channel, "ray_traced": {**options, "scene_sha256": found}}}


def load_plugins(paths: list[str]) -> None:
    """Execute the plugin files, which register their blocks; a file already executed only if it has changed.

    :raises ScenarioError: a missing file, or the plugin's own exception (its cause), with the plugin's line.
    """
    for path in paths:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise ScenarioError(f"plugin {path}: {reason}") from None
        name = f"linksim_plugin_{hashlib.sha256(str(path).encode() + content).hexdigest()[:12]}"
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None:
            raise ScenarioError(f"plugin {path}: not a Python file (its name must end in .py)")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
            line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 1
            said = error.msg if isinstance(error, SyntaxError) else error
            raise ScenarioError(f"plugin {path}:{line}: {type(error).__name__}: {said}") from error


def sweep_points(scenario: Scenario) -> list[dict[str, float | str]]:
    """Every combination of the sweep axes' values, first axis slowest; one empty point without axes.

    :raises ScenarioError: an axis that names no field that can be swept.
    """
    for key in scenario.sweep:
        try:
            _check_axis(scenario, key)
        except ScenarioError as error:
            raise ScenarioError(f"sweep.{key}: {error}") from None
    return [dict(zip(scenario.sweep, values)) for values in itertools.product(*scenario.sweep.values())]


def axis_stage(key: str) -> str:
    """The first stage of the chain that a sweep axis invalidates."""
    section, _, rest = key.partition(".")
    # a method's own precoder leaves its prediction as it is; its codec comes before it
    own = re.search(r"\.(precoder|feedback)(\.[^.]+)?$", rest) if section == "methods" else None
    return {"precoder": "precoding", "feedback": "feedback"}[own[1]] if own else STAGE_OF_SECTION[section]


def point_scenario(scenario: Scenario, point: dict[str, float | str]) -> Scenario:
    """The scenario with one sweep point's values put in, without axes.

    :raises ScenarioError: a value out of its field's range.
    """
    data = scenario.model_dump()
    data["sweep"] = {}
    for key, value in point.items():
        try:
            data = replaced(data, key, value)
        except KeyError as error:
            raise ScenarioError(f"{key}: {error.args[0]}") from None
    try:
        return Scenario.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ScenarioError(f"{dotted(_within(first['loc'], data))}: {describe(first)}") from None


def scenario_hash(scenario: Scenario) -> str:
    """Identity of the drops a scenario produces: all but its texts, stopping rule and where checkpoints are kept.

    A plugin and a checkpoint that is named count by their content: an edited one makes another scenario, a moved one
    does not.
    """
    channel = scenario.channel
    left_out: dict[str, Any] = dict.fromkeys(later_fields(channel), True)
    if channel.source == "model":
        left_out |= dict.fromkeys(NOT_DRAWN, True)
    elif channel.source == "files":
        left_out["files"] = {"path", "training_path"}  # their digests count, not where they lie
    else:
        left_out["files"] = True
        if channel.ray_traced.scene_sha256:
            left_out["ray_traced"] = {"scene"}
    data = scenario.model_dump(mode="json", exclude={
        "description": True, "plugins": True,
        "training": {"folder", "devices", "num_nodes", "cache_gb"} | later_training_fields(scenario.training),
        "run": {"stopping", "units_per_round", "confidence", *later_run_fields(scenario.run)},
        "channel": left_out,
    })
    if scenario.feedback == Feedback():
        del data["feedback"]
    for method in data["methods"]:
        for key in later_method_fields(method):
            del method[key]
        training = {key: value for key, value in (method.pop("training") or {}).items() if value is not None}
        method |= {"training": training} if training else {}
        if folder := checkpoint_of(method["predictor"]):
            method["predictor"]["checkpoint"] = weights_digest(folder)
    plugins = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in scenario.plugins]
    return hashlib.sha256(json.dumps([data, plugins], sort_keys=True).encode()).hexdigest()


def weights_digest(folder: str) -> str:
    """Digest of the weights in a checkpoint's folder; the folder's name where there are none."""
    try:
        return hashlib.sha256((Path(folder) / "weights.safetensors").read_bytes()).hexdigest()
    except OSError:
        return folder


def parse_value(text: str) -> Any:
    """A value as ``--set`` gives it.

    :raises ScenarioError: not YAML.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise ScenarioError(f"{text!r} is not YAML") from None


# --- checks, each to one line ---------------------------------------------------------------------------------

def _check_axis(scenario: Scenario, key: str) -> None:
    if key.partition(".")[0] in Scenario.model_fields and key.partition(".")[0] not in STAGE_OF_SECTION:
        raise ScenarioError("only fields of " + ", ".join(STAGE_OF_SECTION) + " can be swept")
    if key == "channel.source" or key.startswith("channel.files."):
        raise ScenarioError("one run takes its channels from one place: run once for each, then `linksim report` "
                            "overlays the runs")
    try:
        value = value_at(scenario, key)
    except KeyError as error:
        raise ScenarioError(error.args[0]) from None
    if isinstance(value, bool) or not isinstance(value, int | float | str | None):
        kind = "a section" if isinstance(value, Section) else repr(value)
        raise ScenarioError(f"not a number or a name (it is {kind})")
    texts = [given for given in scenario.sweep[key] if isinstance(given, str)]
    if texts and isinstance(value, int | float):
        raise ScenarioError(f"a number needed (given {texts[0]!r})")


def _check_training_drops(scenario: Scenario, source: Source) -> None:
    """Whether the training file holds as many drops as the blocks are trained on."""
    if scenario.channel.source == "model" or not scenario.channel.files.training_path:
        return
    for method in trained_methods(scenario):
        if checkpoint_of(method.predictor) is not None:
            continue
        from linksim.training.conditions import num_chunks

        try:
            num_chunks(scenario, training_of(scenario, method))
        except ScenarioError as error:
            raise ScenarioError(f"{source.cite(('channel', 'files', 'training_path'))}: {error}") from None


def _validated(data: dict[str, Any], source: Source) -> Scenario:
    try:
        scenario = Scenario.model_validate(data)
    except pydantic.ValidationError as error:
        # an unknown key explains the others, so it goes first
        first = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")[0]
        place, message = _within(first["loc"], data), _message(first)
        if not place:  # a rule over the whole scenario: its text begins with the section, then perhaps the key
            section, _, rest = message.partition(": ")
            inner = next((at for at in source.lines if at[:1] == (section,) and len(at) == 2 and str(at[1]) in rest),
                         None)
            place, message = (inner or (section,), rest) if section in Scenario.model_fields else ((), message)
        raise ScenarioError(f"{source.cite(place)}: {message}") from None
    for place in booleans_as_numbers(data, scenario):
        raise ScenarioError(f"{source.cite(place)}: a number needed (given true or false)")
    return scenario


def _checked(scenario: Scenario, data: dict[str, Any], source: Source,
             point: dict[str, float | str] | None = None) -> None:
    try:
        check(scenario)
    except ScenarioError as error:
        key, _, message = str(error).partition(": ")
        if not point:
            raise ScenarioError(f"{source.cite(place_of(data, key))}: {message}") from None
        raise _at_point(scenario, source, point, str(error)) from None


def _at_point(scenario: Scenario, source: Source, point: dict[str, float | str], fault: str) -> ScenarioError:
    """The fault ``key: message`` of one sweep point, at the axis it comes from."""
    axis = _axis_at(scenario, point, fault)
    key, _, message = fault.partition(": ")
    values = ", ".join(f"{name} = {value}" for name, value in point.items())
    text = message if key == axis[1] else fault
    return ScenarioError(f"{source.cite(axis)}: {text} (at {values})")


def _axis_at(scenario: Scenario, point: dict[str, float | str], message: str) -> Place:
    """The axis that a fault at a sweep point comes from: the one in the section it names, else the sweep."""
    data = scenario.model_dump()
    fault = place_of(data, message.partition(": ")[0])
    for key in sorted(point, key=lambda key: place_of(data, key) != fault):
        if place_of(data, key)[:len(fault)] == fault:
            return ("sweep", key)
    return ("sweep", next(iter(point)))


def _message(fault: dict[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        *parents, key = (part for part in fault["loc"] if not isinstance(part, int))
        fields = list(_model_at(tuple(parents)).model_fields)
        elsewhere = [path for path in _paths(Scenario) if path.rpartition(".")[2] == key]
        near = f"did you mean {elsewhere[0]!r}?" if elsewhere else suggestion(str(key), fields)
        return f"unknown key {key!r}: {near}"
    if fault["loc"][-1:] and fault["loc"][-1] in ("str", "dict[str,any]"):
        return f"{BLOCK_FORM} (given {fault['input']!r})"
    if fault["type"] == "string_pattern_mismatch":
        field = _model_at(fault["loc"][:-1]).model_fields[fault["loc"][-1]]
        return f"{field.description} (given {fault['input']!r}; pattern {fault['ctx']['pattern']})"
    return describe(fault)


def _model_at(parents: Place) -> type[Section]:
    model: Any = Scenario
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


def _within(place: tuple[Any, ...], data: Any) -> Place:
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
