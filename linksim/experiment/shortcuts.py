"""Runs that show something soon: without methods that are still to be trained, or a first look."""

from __future__ import annotations

from collections.abc import Callable

from linksim.core.errors import LinksimError, ScenarioError
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Scenario

QUICK_DROPS = 8
QUICK_CHUNK = 2


def quick_look(scenario: Scenario) -> Scenario:
    """The scenario with few drops, at the ends and the middle of every axis, without whatever has no weights yet.

    :raises ScenarioError: no method is left.
    """
    from linksim.training.preparation import unmade_methods  # start-up

    stopping = scenario.run.stopping.model_copy(update={
        "min_drops": QUICK_DROPS, "max_drops": QUICK_DROPS, "adaptive": False, "block_errors": None})
    run = scenario.run.model_copy(update={"quick": True, "chunk_size": min(scenario.run.chunk_size, QUICK_CHUNK),
                                          "stopping": stopping})
    short = scenario.model_copy(update={"run": run})
    return _without(short, list(unmade_methods(short, closed_form=True)))


def trained_only(scenario: Scenario, device: str, say: Callable[[str], None]) -> Scenario:
    """The scenario without methods whose weights are neither released nor kept here; each is named.

    What is fitted in closed form stays: that takes seconds.

    :param say: is told of each method how long its training would take.
    :raises ScenarioError: no method is left.
    """
    from linksim.training.preparation import training_time, unmade_methods  # start-up

    missing = unmade_methods(scenario, closed_form=False)
    for name, part in missing.items():
        try:
            time = f"about {training_time(part, device)} of training"
        except LinksimError as error:
            time = f"it cannot be told how long its training takes: {error}"
        say(f"left out: {name}: {time}; `linksim train SCENARIO.yaml --method \"{name}\"` begins it")
    return _without(scenario, list(missing))


def _without(scenario: Scenario, names: list[str]) -> Scenario:
    left_out = [*scenario.run.left_out, *names]
    short = scenario.model_copy(update={"run": scenario.run.model_copy(update={"left_out": left_out})})
    if all(method.only_teaches for method in resolve(short).simulated):
        raise ScenarioError(f"nothing is left to simulate: {', '.join(left_out)} would have to be trained first")
    return short
