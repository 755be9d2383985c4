"""Sweep axes and the points of their grid."""

from __future__ import annotations

import itertools
import re

import pydantic

from linksim.core.errors import ScenarioError
from linksim.core.messages import describe
from linksim.core.types import Section
from linksim.scenario.dotted import replaced, value_at
from linksim.scenario.resolved import ResolvedScenario, resolve
from linksim.scenario.schema import STAGE_OF_SECTION, Scenario
from linksim.scenario.source import dotted
from linksim.scenario.training import MethodTraining
from linksim.scenario.validation import within


def sweep_points(scenario: Scenario) -> list[dict[str, float | str]]:
    """Every combination of the sweep axes' values, first axis slowest; one empty point without axes."""
    return [dict(zip(scenario.sweep, values)) for values in itertools.product(*scenario.sweep.values())]


def axis_values(scenario: Scenario, key: str) -> list[float | str]:
    """The values of an axis that are simulated."""
    values = scenario.sweep[key]
    return [values[0], values[len(values) // 2], values[-1]] if scenario.run.quick and len(values) > 3 else values


def simulated_points(scenario: Scenario) -> list[dict[str, float | str]]:
    """The points of `sweep_points` that are simulated: all, unless the axes are thinned."""
    return [point for point in sweep_points(scenario)
            if all(value in axis_values(scenario, key) for key, value in point.items())]


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
        raise ScenarioError(f"{dotted(within(first['loc'], data))}: {describe(first)}") from None


def resolved_at(scenario: Scenario, point: dict[str, float | str]) -> ResolvedScenario:
    """`point_scenario`, resolved.

    :raises ScenarioError: a value that a field or an option does not take.
    """
    return resolve(point_scenario(scenario, point))


def check_axis(resolved: ResolvedScenario, key: str) -> None:
    """Whether a field can be swept over the values that the scenario gives.

    :raises ScenarioError: it cannot; says why.
    """
    scenario = resolved.written
    if key.partition(".")[0] in Scenario.model_fields and key.partition(".")[0] not in STAGE_OF_SECTION:
        raise ScenarioError("only fields of " + ", ".join(STAGE_OF_SECTION) + " can be swept")
    if key.startswith("training."):
        _check_training_axis(resolved, key.partition(".")[2])
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


def _check_training_axis(scenario: ResolvedScenario, field: str) -> None:
    if field not in MethodTraining.model_fields:
        raise ScenarioError("not of what is trained, but of where")
    learning = [block.kind for method in scenario.methods for block in method.blocks if block.is_trained]
    if not learning:
        raise ScenarioError("no method learns anything")
    if "feedback" in learning:
        raise ScenarioError("a fitted codec is swept in its bits alone; name a method for each value")
