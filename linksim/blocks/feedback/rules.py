"""What codecs need of a scenario, and what methods with reports cannot be combined with."""

from __future__ import annotations

from typing import Any

from linksim.backbone.choice import check_layers, check_tokens
from linksim.core.errors import ScenarioError
from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario


def check_feedback(scenario: ResolvedScenario, place: str, method: ResolvedMethod) -> None:
    """What a method with a codec cannot be combined with. Only here does a check import a codec."""
    place, channel, codec, predictor = f"{place}.feedback", scenario.channel, method.feedback, method.predictor
    if codec.learns:
        for key in scenario.sweep:
            if key.startswith(f"methods.{method.name}.feedback.") and not key.endswith(".bits"):
                raise ScenarioError(f"sweep.{key}: a fitted codec is swept in its bits alone; name a method for each "
                                    "value")
    if scenario.acquisition.type == "pilots":
        raise ScenarioError(f"{place}: acquisition.type pilots are the uplink's; reports need awgn or perfect")
    needed = predictor.spec.required_history(predictor.options)
    if needed > channel.num_history - scenario.feedback.delay_periods:
        raise ScenarioError(
            f"feedback.delay_periods: {scenario.feedback.delay_periods} of {channel.num_history} reports have not "
            f"arrived, and {predictor.name} needs {needed}: use a larger channel.num_history")
    if predictor.learns and (trained := predictor.training.channel.get("duplex", channel.duplex)) != "tdd":
        raise ScenarioError(f"{place}: {predictor.name} is trained to predict the downlink from the uplink "
                            f"({trained}), but reports tell the downlink: write training: {{channel: {{duplex: tdd}}}} "
                            "in this method")
    if predictor.learns and scenario.feedback.delay_periods and not predictor.made_by.any_history:
        raise ScenarioError(f"{place}: {predictor.name} is trained on {channel.num_history} samples up to the last "
                            f"one, and feedback.delay_periods withholds {scenario.feedback.delay_periods}: leave the "
                            "delay out, or take a predictor that takes any history, such as unfolded_sparse_bayesian")
    if predictor.name != "hold" and codec.made_by.kind == "implicit":
        raise ScenarioError(f"{place}: {codec.name} reports directions, whose phases do not continue from one report "
                            f"to the next: use the predictor hold (given {predictor.name})")
    if scenario.feedback.bit_error_rate and codec.made_by.remembers:
        raise ScenarioError(f"feedback.bit_error_rate: reports of {codec.name} build on the ones before, and a wrong "
                            "bit would spoil all that follow: leave it out, or take a codec without memory (off_grid)")
    codec.check_requirement(place, scenario, method)
    from linksim.blocks.feedback.base import check_grid  # start-up

    try:
        check_grid(codec.create(), channel)
    except ScenarioError as error:
        raise ScenarioError(f"{place}: {error}") from None


def check_budget(scenario: ResolvedScenario) -> None:
    """A budget that no codec takes would look as if it mattered, the more so when it is swept."""
    if scenario.feedback.bits is None:
        return
    codecs = [method.feedback for method in scenario.methods if method.feedback is not None]
    if not any("bits" in codec.options for codec in codecs):
        names = ", ".join(dict.fromkeys(codec.name for codec in codecs))
        fixed = f"{names}: sizes of their own" if codecs else "no method has feedback"
        raise ScenarioError(f"feedback.bits: nothing takes this budget ({fixed}): leave it out")


def several_numbers(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Numbers of elements that a learned choice can be made for."""
    if options["several_values"] and options["selection"] == "random":
        raise ScenarioError("several_values: random places are for one number of values: leave it out")
    if options["several_values"] == []:
        raise ScenarioError("several_values: at least one number is needed, or leave it out")


def llmcsinet_sizes(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """As `several_numbers`; layers and positions that the language model has."""
    several_numbers(options, scenario, method)
    channel, size = scenario.channel, options["patch_size"]
    rows, beams = min(options["delay_window"], channel.num_subcarriers), channel.bs_array.num_antennas
    check_tokens(check_layers(options), options, 1 + -(-rows // size) * -(-beams // size), "use a larger patch_size")
