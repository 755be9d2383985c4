"""What a scenario cannot ask of channels that others have made."""

from __future__ import annotations

from linksim.channel.source import check_positions
from linksim.core.errors import ScenarioError
from linksim.scenario.resolved import ResolvedScenario


def check_stored(scenario: ResolvedScenario) -> None:
    """What no channel file has, and no generator of impulse responses.

    :raises ScenarioError: it is asked for; ``key: message``.
    """
    channel = scenario.channel
    check_positions(scenario, "channel files")
    if channel.samples_per_period != 1 or channel.processing_delay_ms:
        raise ScenarioError("channel.samples_per_period: channel files hold whole CSI periods alone: leave it and "
                            "processing_delay_ms out")


def check_num_drops(scenario: ResolvedScenario, title: str, held: int) -> None:
    """Whether a file holds the drops of whole chunks that the run wants at least.

    :raises ScenarioError: ``run.stopping.min_drops: message``.
    """
    least, size = scenario.run.stopping.min_drops, scenario.run.chunk_size
    whole = held // size * size
    if whole < least:
        fix = f"run.stopping.min_drops={whole}" if whole else f"run.chunk_size={held}"
        raise ScenarioError(f"run.stopping.min_drops: {least} drops wanted, but {title} has {held} ({held // size} "
                            f"whole chunks of {size}): --set {fix}")


def learning_from(scenario: ResolvedScenario) -> list[str]:
    """Names of the methods whose predictor or codec learns from training drops of the scenario's own source."""
    own = scenario.channel.source_name
    return [method.name for method in scenario.simulated for block in (method.predictor, method.feedback)
            if block is not None and block.is_trained
            and block.training.channel.get("source", own) in (own, {"type": own})]


def check_training_drops(scenario: ResolvedScenario) -> None:
    """Whether there are drops of the right sizes for what learns.

    :raises ScenarioError: ``channel.files.training_path: message``.
    """
    channel, learning = scenario.channel, learning_from(scenario)
    if not learning:
        return
    if not channel.files.training_path:
        raise ScenarioError(f"channel.files.training_path: method {learning[0]!r} is trained, but the scenario names "
                            "no training drops: write it, or leave the method out")
    from linksim.channel.files.agreement import check_training_file  # start-up

    users = channel.num_users if scenario.acquisition.type == "pilots" else 1
    check_training_file(channel.model_copy(update={"num_users": users}))
