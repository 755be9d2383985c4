"""What blocks that answer tasks need of a scenario."""

from __future__ import annotations

from typing import Any

from linksim.backbone.choice import check_layers
from linksim.channel.source import source_of
from linksim.core.errors import ScenarioError
from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario

TASK_METRICS = ("position_error_cdf90_m", "position_error_m", "los_accuracy", "precoding_sgcs", "beam_top1",
                "beam_top3", "beam_rate_loss_bps_hz", "path_loss_rmse_db")


def check_universal(scenario: ResolvedScenario, place: str, method: ResolvedMethod) -> None:
    """A method's block that answers tasks, and the channel that it needs."""
    channel, written = scenario.channel, scenario.written_method(method.name)
    for key in ("feedback", "semantic", "precoder", "training"):
        if getattr(written, key) is not None:
            raise ScenarioError(f"{place}.{key}: {method.name!r} answers tasks instead: leave it out")
    if not source_of(channel).has_places:
        raise ScenarioError(f"channel.source: tasks are about terminals of ray-traced channels (given "
                            f"{channel.source_name}): write ray_traced")
    if channel.duplex != "tdd":
        raise ScenarioError("channel.duplex: tasks are answered from the uplink: write tdd")
    if channel.num_users != 1:
        raise ScenarioError(f"channel.num_users: tasks are about one user at a time (given {channel.num_users}): "
                            "write 1")
    method.universal.check_requirement(f"{place}.universal", scenario, method)


def check_task_metrics(scenario: ResolvedScenario) -> None:
    """Tasks are scored where they are answered, and nowhere else."""
    if all(method.only_teaches for method in scenario.simulated):
        raise ScenarioError("methods: alignment only teaches others and has no results of its own: add a method that "
                            "learns from it, or a classical one")
    asked = any(method.universal is not None for method in scenario.methods)
    wanted = [name for name in [*scenario.metrics, scenario.run.stopping.metric] if name in TASK_METRICS]
    if wanted and not asked:
        raise ScenarioError(f"metrics: {wanted[0]} is of tasks, and no method answers any: write universal: ai2mmum in "
                            "a method, or leave it out")
    if asked and not wanted:
        raise ScenarioError("metrics: methods answer tasks, but no metric of tasks is asked for: add "
                            "position_error_cdf90_m or beam_top1")


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
