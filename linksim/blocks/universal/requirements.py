"""What blocks that answer tasks need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linksim.backbone.requirements import check_layers
from linksim.core.errors import ScenarioError

if TYPE_CHECKING:
    from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario

_NUM_FEATURES = 128
"""Features of the encoders that AI2MMUM takes over."""


def aligned_encoders(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod) -> None:
    """A teacher with encoders that fit, and layers that the language model has."""
    if options["body"] in ("language_model", "attention"):
        check_layers(options)
    name = method.universal.training.teacher
    if options["encoders"] == "scratch":
        if name:
            raise ScenarioError("encoders: scratch takes no teacher: leave universal_training.teacher out")
        return
    if not name:
        raise ScenarioError("its encoders come from a method with universal: alignment: name that in "
                            "universal_training.teacher, or write encoders: scratch")
    teacher = next((other.universal for other in scenario.methods if other.name == name), None)
    if teacher is None:
        return  # said elsewhere
    if teacher.name != "alignment":
        raise ScenarioError(f"it takes its encoders from alignment alone, and universal_training.teacher {name!r} is "
                            f"{teacher.name}")
    if teacher.options["num_features"] != _NUM_FEATURES:
        raise ScenarioError(f"its encoders have {_NUM_FEATURES} features, but those of universal_training.teacher "
                            f"{name!r} have num_features {teacher.options['num_features']}")


def absolute_delays(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Delays count from departure, or they say nothing of the distance."""
    if scenario.channel.ray_traced.synchronized:
        raise ScenarioError("distances are told from delays that count from departure: write "
                            "channel.ray_traced.synchronized: false")


def aligned_encoders_and_delays(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod) -> None:
    """Both of the above."""
    aligned_encoders(options, scenario, method)
    absolute_delays(options, scenario, method)
