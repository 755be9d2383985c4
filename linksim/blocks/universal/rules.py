"""What methods that answer tasks cannot be combined with."""

from __future__ import annotations

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
