"""How far a scenario's trainings are, for whoever asks from another process: made, in training, or not begun."""

from __future__ import annotations

from datetime import datetime

from linksim.core.file_lock import is_held
from linksim.core.heartbeat import duration
from linksim.scenario.schema import Scenario
from linksim.training.checkpoint import LOCK, shown
from linksim.training.part import Part
from linksim.training.preparation import check_name, parts_of
from linksim.training.progress import Standing, read_standing


def training_status(scenario: Scenario, only: str | None = None) -> list[str]:
    """A line about each part that the scenario's methods learn. Nothing is drawn, loaded or written.

    :param only: the name of a method, as of `linksim.training.preparation.parts_of`.
    :raises ScenarioError: no method of that name, or one that learns nothing; a checkpoint that is named does not fit.
    """
    if only is not None:
        check_name(scenario, only)
    return [f"{part.name}: {_status(part)}" for part in parts_of(scenario, only)]


def _status(part: Part) -> str:
    if part.block.checkpoint:
        return part.given()
    if (made := part.checkpoint) is not None:
        return f"made, {shown(made)}"
    told = read_standing(part.folder)
    if is_held(part.folder / LOCK):
        doing = "in training" if part.is_learned else "being fitted"
        return f"{doing}: {told}; last sign of life {_ago(told)}" if told else f"{doing}, no step made yet"
    if told:
        return f"interrupted {_ago(told)}: {told.came_to}; without --status the same command goes on"
    return "not begun"


def _ago(told: Standing) -> str:
    return f"{duration((datetime.now().astimezone() - told.told_at).total_seconds())} ago"
