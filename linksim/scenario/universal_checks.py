"""What methods that answer tasks cannot be combined with."""

from __future__ import annotations

from linksim import registry
from linksim.errors import ScenarioError
from linksim.scenario.requirements import check_requirement
from linksim.scenario.schema import Method, Scenario, block_of, only_teaches, simulated_methods, universal_of
from linksim.scenario.training import merged
from linksim.scenario.training_checks import check_teacher, checked_training

TASK_METRICS = ("position_error_cdf90_m", "position_error_m", "los_accuracy", "precoding_sgcs", "beam_top1",
                "beam_top3", "beam_rate_loss_bps_hz", "path_loss_rmse_db")


def check_universal_blocks(scenario: Scenario) -> None:
    """Every method's universal block is known and has the options it is given; before all other checks of them, as
    methods look at each other's blocks for their teachers."""
    for index, method in enumerate(scenario.methods):
        if method.universal is not None:
            try:
                universal_of(method)
            except ScenarioError as error:
                raise ScenarioError(f"methods.{index}.universal: {error}") from None


def check_universal(scenario: Scenario, index: int, method: Method) -> None:
    """A method's training for tasks, and the channel that it needs."""
    place, channel = f"methods.{index}.universal", scenario.channel
    if method.universal is None:
        if method.universal_training is not None:
            raise ScenarioError(f"{place}_training: {method.name!r} answers no tasks: write universal, or leave it out")
        return
    for key in ("feedback", "semantic", "precoder", "training"):
        if getattr(method, key) is not None:
            raise ScenarioError(f"methods.{index}.{key}: {method.name!r} answers tasks instead: leave it out")
    if channel.source != "ray_traced":
        raise ScenarioError(f"channel.source: tasks are about terminals of ray-traced channels (given "
                            f"{channel.source}): write ray_traced")
    if channel.duplex != "tdd":
        raise ScenarioError("channel.duplex: tasks are answered from the uplink: write tdd")
    if channel.num_users != 1:
        raise ScenarioError(f"channel.num_users: tasks are about one user at a time (given {channel.num_users}): "
                            "write 1")
    training = checked_training(scenario, method.universal_training, f"{place}_training")
    if training.start_from:
        raise ScenarioError(f"{place}_training.start_from: blocks that answer tasks start from nothing; encoders are "
                            "taken over from a teacher")
    if training.teacher:
        teachers = {other.name: other for other in scenario.methods if other.universal is not None
                    and other is not method and registry.find("universal", block_of(other.universal)[0]).trains}
        check_teacher(training.teacher, method, teachers, f"{place}_training.teacher",
                      lambda other: merged(scenario.training, other.universal_training).teacher)
    name, options = universal_of(method)
    check_requirement(place, registry.find("universal", name), options, scenario, method)


def check_task_metrics(scenario: Scenario) -> None:
    """Tasks are scored where they are answered, and nowhere else."""
    if all(only_teaches(method) for method in simulated_methods(scenario)):
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
