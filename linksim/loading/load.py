"""Read a scenario file: YAML to a checked `Scenario`, every fault as one line with file, line, key and fix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from linksim.channel.source import source_named, source_of
from linksim.core.errors import ScenarioError
from linksim.core.shipped import located
from linksim.loading.checks import check
from linksim.scenario.channel import Channel
from linksim.scenario.dotted import place_of, replaced
from linksim.scenario.plugins import load_plugins
from linksim.scenario.points import check_axis, point_scenario, sweep_points
from linksim.scenario.ray_traced import is_path
from linksim.scenario.resolved import LEARNING, ResolvedScenario, resolve
from linksim.scenario.schema import Scenario
from linksim.scenario.source import Source, parse, read_text
from linksim.scenario.validation import check_texts, validated
from linksim.scenario.yaml_text import Place, YamlFault, data_of


def spelled_out(data: dict[str, Any]) -> dict[str, Any]:
    """A scenario's data with ``channel: {source: ray_tracing, scene: munich}`` as ``{source: ray_traced, ray_traced:
    {scene: munich}}``.

    A scene given in both ways stays as it is: the schema names the key that is too many.
    """
    channel = data.get("channel")
    if not isinstance(channel, dict) or channel.get("source") != "ray_tracing":
        return data
    options = channel.get("ray_traced", {})
    channel = {**channel, "source": "ray_traced"}
    if isinstance(options, dict) and "scene" in channel and "scene" not in options:
        channel["ray_traced"] = {**options, "scene": channel.pop("scene")}
    return {**data, "channel": channel}


def load_scenario(path: str | Path, overrides: dict[str, Any] | None = None,
                  plugins: list[str] | None = None) -> Scenario:
    """Load and check a scenario file.

    :param path: a YAML file.
    :param overrides: values by dotted path, as ``--set`` gives them; methods may be addressed by name.
    :param plugins: further plugin files.
    :returns: the scenario; ``name`` is the file's stem unless the file says otherwise, plugin paths are absolute.
    :raises ScenarioError: anything wrong, in the file, an override or a sweep point; nothing has been written.
    """
    return cited_scenario(path, overrides, plugins)[0]


def cited_scenario(path: str | Path, overrides: dict[str, Any] | None = None,
                   plugins: list[str] | None = None) -> tuple[Scenario, Source]:
    """As `load_scenario`, with where each value comes from, for faults that only show later."""
    path = located(Path(path))
    data, source = parse(read_text(path), path)
    check_texts(data, source)  # before anything is taken for a path
    data.setdefault("name", re.sub(r"[^\w.-]+", "_", path.stem))
    listed = data.get("plugins", [])
    if isinstance(listed, list) and all(isinstance(item, str) for item in listed):  # else the schema objects
        data["plugins"] = [str((path.parent / item).resolve()) for item in listed]
        for extra in plugins or []:
            source = source.overridden(("plugins", len(data["plugins"])), "--plugin")
            data["plugins"].append(str(Path(extra).resolve()))
    data = _with_checkpoints_from(path.parent, _with_paths_from(path.parent, spelled_out(data)))
    return _from_dict(data, overrides, source)


def scenario_from_dict(data: dict[str, Any], overrides: dict[str, Any] | None = None) -> Scenario:
    """Check a scenario given as a dictionary, with overrides applied and every sweep point tried.

    :raises ScenarioError: anything wrong.
    """
    return _from_dict(data, overrides, Source())[0]


def _from_dict(data: dict[str, Any], overrides: dict[str, Any] | None, source: Source) -> tuple[Scenario, Source]:
    for key, value in (overrides or {}).items():
        try:
            data, source = replaced(data, key, value), source.overridden(place_of(data, key), "--set")
        except (KeyError, ScenarioError) as error:
            shown = key if len(key) <= 60 else f"{key[:57]}..."
            raise ScenarioError(f"--set {shown}: {error.args[0]}") from None
    check_texts(data, source)
    _load_plugins(data.get("plugins"), source)
    data = _completed(spelled_out(data), source)
    scenario = validated(data, source)
    base = _checked(scenario, data, source)
    for key in scenario.sweep:
        try:
            check_axis(base, key)
        except ScenarioError as error:
            raise ScenarioError(f"{source.cite(('sweep', key))}: {error}") from None
    for point in sweep_points(scenario):
        try:
            resolved = point_scenario(scenario, point)
        except ScenarioError as error:
            raise _at_point(scenario, source, point, str(error)) from None
        _checked(resolved, data, source, point)
    _check_training_drops(base, source)
    return scenario, source


def parse_value(text: str) -> Any:
    """A value as ``--set`` gives it, by the same rules as in a file.

    :raises ScenarioError: not YAML.
    """
    try:
        return data_of(text)[0]
    except YamlFault as fault:
        given = text if len(text) <= 40 else f"{text[:37]}..."
        raise ScenarioError(f"{given!r} is not YAML: {fault}") from None


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
                if isinstance(given.get(key), str) and given[key] and (section == "files" or is_path(given[key]))
            }}
    return {**data, "channel": changed}


def _with_checkpoints_from(folder: Path, data: dict[str, Any]) -> dict[str, Any]:
    """Checkpoints that the link and methods name relative to the scenario file's folder."""
    def placed(block: Any) -> Any:
        if not isinstance(block, dict) or not isinstance(block.get("checkpoint"), str):
            return block
        return {**block, "checkpoint": str((folder / block["checkpoint"]).resolve())}

    methods, link = data.get("methods"), data.get("link")
    if isinstance(link, dict) and "precoder" in link:
        data = {**data, "link": {**link, "precoder": placed(link["precoder"])}}
    if not isinstance(methods, list):
        return data
    return {**data, "methods": [
        {key: placed(value) if key in LEARNING else value for key, value in method.items()}
        if isinstance(method, dict) else method for method in methods]}


def _load_plugins(listed: Any, source: Source) -> None:
    """The scenario's plugins, before anything asks for what they bring; what is no list of texts the schema names."""
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        return
    for index, plugin in enumerate(listed):
        try:
            load_plugins([plugin])
        except ScenarioError as error:
            raise ScenarioError(f"{source.cite(('plugins', index))}: {error}") from error


def _completed(data: dict[str, Any], source: Source) -> dict[str, Any]:
    """What the source of the channels says, where the scenario leaves it out."""
    channel, sweep = data.get("channel"), data.get("sweep")
    if not isinstance(channel, dict):
        return data
    reference = channel.get("source", Channel.model_fields["source"].default)
    if not isinstance(reference, str | dict):
        return data  # the schema says what is wrong
    axes = sweep if isinstance(sweep, dict) else {}
    swept = {key.removeprefix("channel.") for key in map(str, axes) if key.startswith("channel.")}
    try:
        return {**data, "channel": source_named(reference).complete(channel, swept)}
    except ScenarioError as error:
        key, _, message = str(error).partition(": ")
        raise ScenarioError(f"{source.cite(('channel', *key.split('.')))}: {message}") from None


def _check_training_drops(scenario: ResolvedScenario, source: Source) -> None:
    """Whether the training file holds as many drops as the blocks are trained on."""
    if not source_of(scenario.channel).stores_training(scenario.channel):
        return
    from linksim.training.parts import KINDS  # start-up

    learning = [(method, block) for method in scenario.simulated for block in (method.predictor, method.feedback)
                if block is not None and block.is_trained]
    for method, block in learning:
        try:
            KINDS[block.kind](scenario, method).drops("cpu")
        except ScenarioError as error:
            raise ScenarioError(f"{source.cite(('channel', 'files', 'training_path'))}: {error}") from None


def _checked(scenario: Scenario, data: dict[str, Any], source: Source,
             point: dict[str, float | str] | None = None) -> ResolvedScenario:
    try:
        resolved = resolve(scenario)
        check(resolved)
        return resolved
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
