"""What methods with semantic codecs cannot be combined with."""

from __future__ import annotations

from linksim.core.errors import ScenarioError
from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario

RETRIEVAL_METRICS = ("map", "rank1", "rank5", "rank10")


def check_semantic(scenario: ResolvedScenario, place: str, method: ResolvedMethod) -> None:
    """A method's semantic codec, and the link that it needs."""
    channel, sent, codec = scenario.channel, scenario.semantic, method.semantic
    if channel.num_users != 1:
        raise ScenarioError(f"channel.num_users: captions are sent to one user (given {channel.num_users}): write 1")
    streams = scenario.link.num_streams_per_user
    if sent.channel_uses < streams:
        raise ScenarioError(f"semantic.channel_uses: {sent.channel_uses} symbols are fewer than the {streams} streams "
                            "of link.num_streams_per_user")
    if sent.channel_uses % streams:
        raise ScenarioError(f"semantic.channel_uses: {sent.channel_uses} symbols do not fill {streams} streams: use a "
                            f"multiple of {streams}")
    if method.feedback is not None and streams > 1 and method.feedback.made_by.kind == "implicit":
        raise ScenarioError(f"{place}.feedback: {method.feedback.name} reports directions alone, without the gains "
                            "that streams are ordered and coded by: use a codec that reports the channel")
    codec.check_requirement(f"{place}.semantic", scenario, method)
    scenario.data.check_requirement("semantic.data", scenario)


def check_retrieval_metrics(scenario: ResolvedScenario) -> None:
    """Retrieval is scored where captions are sent, and nowhere else."""
    sending = any(method.semantic is not None for method in scenario.methods)
    wanted = [name for name in [*scenario.metrics, scenario.run.stopping.metric] if name in RETRIEVAL_METRICS]
    if wanted and not sending:
        raise ScenarioError(f"metrics: {wanted[0]} is of captions, and no method has a semantic codec: write semantic: "
                            "sc_lmkb in a method, or leave it out")
    if sending and not wanted:
        raise ScenarioError("metrics: methods send captions, but no metric of retrieval is asked for: add map or rank1")
