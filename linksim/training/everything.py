"""All that a scenario's methods learn, predictors, codecs and what answers tasks, checked and prepared together."""

from __future__ import annotations

from rich.console import Console

from linksim.errors import ScenarioError
from linksim.faults import nearest
from linksim.scenario.schema import Scenario
from linksim.training.checkpoint import check_trained, planned, prepare
from linksim.training.codecs import check_codecs, methods_with_fitted_codecs, planned_codecs, prepare_codecs
from linksim.training.conditions import methods_to_train
from linksim.training.report_errors import prepare_report_errors


def check_everything(scenario: Scenario, device: str, only: str | None = None) -> None:
    """Whether `prepare_everything` can begin, as far as can be told before anything is drawn or written.

    :param only: the name of a method, with its swept values or without; the others are left as they are.
    :raises ScenarioError: no method of that name, or one that is not trained.
    :raises LinksimError: a checkpoint that is named does not fit; a training that cannot begin.
    """
    if only is not None:
        _check_name(scenario, only)
    check_trained(scenario, device, only)
    if methods_with_fitted_codecs(scenario):
        check_codecs(scenario, device, only)
    if _sends_captions(scenario):
        from linksim.training.semantics import check_semantics

        check_semantics(scenario, device, only)
    if _answers_tasks(scenario):
        from linksim.training.universals import check_universals

        check_universals(scenario, device, only)


def prepare_everything(scenario: Scenario, device: str, console: Console, only: str | None = None) -> list[str]:
    """Train or fit what has no matching checkpoint, saying so first.

    :returns: a line for the header about each trained block.
    :raises StoreError: the checkpoint folder cannot be written.
    :raises LinksimError: a checkpoint that is named does not fit; training failed.
    """
    lines = prepare(scenario, device, console, only)
    if methods_with_fitted_codecs(scenario):
        lines += prepare_codecs(scenario, device, console, only)
    if _sends_captions(scenario):
        from linksim.training.semantics import prepare_semantics

        lines += prepare_semantics(scenario, device, console, only)
    if _answers_tasks(scenario):
        from linksim.training.universals import prepare_universals

        lines += prepare_universals(scenario, device, console, only)
    if only is None:
        prepare_report_errors(scenario, device, console)
    return lines


def planned_everything(scenario: Scenario) -> list[str]:
    """A line for the header about each trained block, before `prepare_everything`: loaded from where, or made first."""
    lines = planned(scenario)
    if methods_with_fitted_codecs(scenario):
        lines += planned_codecs(scenario)
    if _sends_captions(scenario):
        from linksim.training.semantics import planned_semantics

        lines += planned_semantics(scenario)
    if _answers_tasks(scenario):
        from linksim.training.universals import planned_universals

        lines += planned_universals(scenario)
    return lines


def _sends_captions(scenario: Scenario) -> bool:
    return any(method.semantic is not None for method in scenario.methods)


def _answers_tasks(scenario: Scenario) -> bool:
    return any(method.universal is not None for method in scenario.methods)


def _check_name(scenario: Scenario, only: str) -> None:
    """Whether a method of this name is trained, with its swept values or without."""
    trained = [method.name for method in methods_to_train(scenario)]
    if _answers_tasks(scenario):
        from linksim.training.universal_data import universal_methods

        trained += [method.name for _, method in universal_methods(scenario)]
    own = {method.name: method for method in scenario.methods}
    if only in trained:
        return
    if only not in own:
        raise ScenarioError(f"--method {only}: no such method: did you mean {nearest(only, [*own, *trained])!r}?")
    method = own[only]
    if not (methods_to_train(scenario, only) or method.feedback or method.semantic or method.universal):
        raise ScenarioError(f"--method {only}: this method is not trained")
