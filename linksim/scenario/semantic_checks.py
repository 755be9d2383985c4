"""What methods with semantic codecs cannot be combined with."""

from __future__ import annotations

from linksim import registry
from linksim.errors import ScenarioError
from linksim.scenario.requirements import check_requirement
from linksim.scenario.schema import Method, Scenario, block_of, semantic_of
from linksim.scenario.training_checks import checked_training

RETRIEVAL_METRICS = ("map", "rank1", "rank5", "rank10")


def check_semantic(scenario: Scenario, index: int, method: Method) -> None:
    """A method's semantic codec, its training, and the link that it needs."""
    place, channel, sent = f"methods.{index}.semantic", scenario.channel, scenario.semantic
    if method.semantic is None:
        if method.semantic_training is not None:
            raise ScenarioError(f"{place}_training: {method.name!r} has no semantic codec that is trained")
        return
    try:
        name, options = semantic_of(method)
    except ScenarioError as error:
        raise ScenarioError(f"{place}: {error}") from None
    if channel.num_users != 1:
        raise ScenarioError(f"channel.num_users: captions are sent to one user (given {channel.num_users}): write 1")
    streams = scenario.link.num_streams_per_user
    if sent.channel_uses < streams:
        raise ScenarioError(f"semantic.channel_uses: {sent.channel_uses} symbols are fewer than the {streams} streams "
                            "of link.num_streams_per_user")
    if sent.channel_uses % streams:
        raise ScenarioError(f"semantic.channel_uses: {sent.channel_uses} symbols do not fill {streams} streams: use a "
                            f"multiple of {streams}")
    if method.feedback is not None and streams > 1 and registry.block_class(
            "feedback", block_of(method.feedback)[0]).kind == "implicit":
        raise ScenarioError(f"methods.{index}.feedback: {block_of(method.feedback)[0]} reports directions alone, "
                            "without the gains that streams are ordered and coded by: use a codec that reports the "
                            "channel")
    check_requirement(place, registry.find("semantic", name), options, scenario, method)
    try:
        spec = registry.find("retrieval_data", block_of(sent.data)[0])
        values = registry.validate_options(spec, block_of(sent.data)[1])
    except ScenarioError as error:
        raise ScenarioError(f"semantic.data: {error}") from None
    check_requirement("semantic.data", spec, values, scenario)
    training = checked_training(scenario, method.semantic_training, f"{place}_training")
    if training.teacher or training.start_from:
        raise ScenarioError(f"{place}_training: semantic codecs have no teachers and start from nothing")


def check_retrieval_metrics(scenario: Scenario) -> None:
    """Retrieval is scored where captions are sent, and nowhere else."""
    sending = any(method.semantic is not None for method in scenario.methods)
    wanted = [name for name in [*scenario.metrics, scenario.run.stopping.metric] if name in RETRIEVAL_METRICS]
    if wanted and not sending:
        raise ScenarioError(f"metrics: {wanted[0]} is of captions, and no method has a semantic codec: write semantic: "
                            "sc_lmkb in a method, or leave it out")
    if sending and not wanted:
        raise ScenarioError("metrics: methods send captions, but no metric of retrieval is asked for: add map or rank1")
