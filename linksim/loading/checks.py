"""What a scenario cannot combine: everything that one field alone does not tell, each fault in one line."""

from __future__ import annotations

from pathlib import Path

from linksim.blocks.feedback.rules import check_budget, check_feedback
from linksim.blocks.prediction.rules import check_speed
from linksim.blocks.semantic.rules import check_retrieval_metrics, check_semantic
from linksim.blocks.universal.rules import check_task_metrics, check_universal
from linksim.channel.source import source_of
from linksim.core import registry
from linksim.core.errors import ScenarioError
from linksim.loading.duration import check_duration
from linksim.loading.memory import check_channels, check_memory
from linksim.metrics.catalogue import METRICS, metric, metric_names
from linksim.nr.rules import check_coding, check_future
from linksim.scenario.resolved import Block, ResolvedMethod, ResolvedScenario
from linksim.scenario.schema import CHECKPOINT_WEIGHTS
from linksim.training.rules import check_trainings


def check(scenario: ResolvedScenario) -> None:
    """The rules that span sections and need the registry of blocks.

    :raises ScenarioError: the first rule broken, with the key in the text as ``key: message``.
    """
    channel, link = scenario.channel, scenario.link
    try:
        source = source_of(channel)
        source.check_channel(channel)
    except ScenarioError as error:
        raise ScenarioError(f"channel.{error}") from None
    check_channels(scenario)
    check_speed(scenario)
    source.check(scenario)
    streams = channel.num_users * link.num_streams_per_user
    if link.num_streams_per_user > channel.ue_array.num_antennas:
        raise ScenarioError(
            f"link.num_streams_per_user: {link.num_streams_per_user} streams need as many antennas per user, "
            f"but channel.ue_array.num_antennas is {channel.ue_array.num_antennas}"
        )
    if streams > channel.bs_array.num_antennas:
        raise ScenarioError(
            f"channel.num_users: {channel.num_users} users x {link.num_streams_per_user} streams exceed the "
            f"{channel.bs_array.num_antennas} BS antennas of channel.bs_array"
        )
    if scenario.acquisition.type == "pilots":
        ports = channel.num_users * channel.ue_array.num_antennas
        if channel.num_subcarriers % ports or channel.num_subcarriers < 2 * ports:
            raise ScenarioError(
                f"channel.num_subcarriers: {channel.num_subcarriers} subcarriers cannot carry the pilots of "
                f"{ports} antenna ports: use a multiple of {ports}, at least {2 * ports}"
            )
    _check_block("link.precoder", scenario.precoder, scenario)
    check_trainings(scenario)
    for index, method in enumerate(scenario.methods):
        place = f"methods.{index}"
        if method.universal is not None:  # leaves none of the others
            check_universal(scenario, place, method)
        if method.precoder != scenario.precoder:
            _check_block(f"{place}.precoder", method.precoder, scenario, method)
        if method.feedback is not None:
            check_feedback(scenario, place, method)
        if method.semantic is not None:
            check_semantic(scenario, place, method)
        if method.predictor is not None:
            _check_block(f"{place}.predictor", method.predictor, scenario, method)
        for block in method.blocks:
            _check_checkpoint(f"{place}.{block.kind}", block)
    _check_bounds(scenario)
    check_retrieval_metrics(scenario)
    check_task_metrics(scenario)
    check_coding(scenario)
    check_future(scenario)
    check_budget(scenario)
    for spec in registry.catalogue("metric"):
        if spec.name in METRICS:
            raise ScenarioError(f"plugins: {spec.source}: there is already a metric {spec.name!r}: choose another name")
    known = metric_names(can_be_computed=True)
    for index, name in enumerate(scenario.metrics):
        try:
            if metric(name).plugged and name not in known:
                raise KeyError(name)
        except KeyError:
            near = registry.nearest(name, known)
            raise ScenarioError(f"metrics.{index}: unknown metric {name!r}: did you mean {near!r}?") from None
        except ScenarioError as error:
            raise ScenarioError(f"metrics.{index}: {error}") from None
        if name == "feedback_bits" and not any(method.feedback for method in scenario.methods):
            raise ScenarioError(f"metrics.{index}: {name} are those of reports, and no method has feedback: leave it "
                                "out")
        step = name.removeprefix("nmse_step_").removesuffix("_db")
        if step.isdigit() and not 1 <= int(step) <= channel.num_future:
            raise ScenarioError(
                f"metrics.{index}: there is no predicted step {step}: channel.num_future is {channel.num_future}"
            )
    if scenario.run.stopping.metric not in known:
        near = registry.nearest(scenario.run.stopping.metric, known)
        raise ScenarioError(
            f"run.stopping.metric: unknown metric {scenario.run.stopping.metric!r}: did you mean {near!r}?"
        )
    if metric(scenario.run.stopping.metric).reduction == "percentile":
        raise ScenarioError("run.stopping.metric: a percentile cannot be watched while running: name a mean")
    check_memory(scenario)
    check_duration(scenario)


def _check_bounds(scenario: ResolvedScenario) -> None:
    """Whether limits hold for the methods, and no curve is taken for one."""
    for bound in scenario.bounds:
        bound.check_requirement("bounds", scenario)
    limits = {title for spec in registry.catalogue("bound") for title in (spec.facts["title"], spec.facts.get("link"))}
    for index, method in enumerate(scenario.methods):
        if method.name in limits:
            raise ScenarioError(f"methods.{index}.name: {method.name!r} is the name of a limit: choose another")


def _check_checkpoint(place: str, block: Block) -> None:
    if block.checkpoint is not None and not (Path(block.checkpoint) / CHECKPOINT_WEIGHTS).is_file():
        raise ScenarioError(f"{place}: no checkpoint in {block.checkpoint}: there is no {CHECKPOINT_WEIGHTS}")


def _check_block(place: str, block: Block, scenario: ResolvedScenario, method: ResolvedMethod | None = None) -> None:
    needed, given = block.spec.required_history(block.options), scenario.channel.num_history
    if needed > given:
        raise ScenarioError(
            f"{place}: {block.name} needs a history of at least {needed} samples with these options, but "
            f"channel.num_history is {given}"
        )
    block.check_requirement(place, scenario, method)
