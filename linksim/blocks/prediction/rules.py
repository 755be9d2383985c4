"""What predictors need of a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linksim.backbone.choice import check_heads, check_layers, check_tokens, check_words
from linksim.core.errors import ScenarioError
from linksim.scenario.resolved import ResolvedScenario

if TYPE_CHECKING:
    from linksim.scenario.resolved import ResolvedMethod


def band_in_reach(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Another band is reached through the delays that at least two subcarriers tell."""
    channel = scenario.channel
    if options.get("band", "sparse") == "sparse" and channel.duplex != "tdd" and channel.num_subcarriers < 2 \
            and (method is None or method.feedback is None) and options.get("domain") != "antenna":
        fix = "band: copy, " if "band" in options else ""
        raise ScenarioError(f"the downlink of {channel.duplex} is reached through delays, which at least two "
                            f"subcarriers tell, but channel.num_subcarriers is 1: use {fix}more, or duplex: tdd")


def transformer_sizes(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Heads divide the width; the decoder starts with samples that there are."""
    check_heads(options["width"], options["num_heads"])


def csi_llm_sizes(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Layers and positions that the language model has."""
    channel = scenario.channel
    check_tokens(check_layers(options), options, channel.num_history + channel.num_future - 1,
                 "use fewer samples of history and future")


def llm4cp_sizes(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """As `csi_llm_sizes`."""
    check_tokens(check_layers(options), options, scenario.channel.num_history, "use a shorter channel.num_history")


def csi_alm_sizes(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Prompts among anchors among principal words among the width; heads that divide it; positions for all tokens."""
    patches = -(-scenario.channel.num_history // options["patch_size"])
    _check_prompts(options, patches, "use fewer prompts or a shorter history")


def csi_alm_ad_sizes(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """As `csi_alm_sizes`, and delays that tell the other band."""
    band_in_reach(options, scenario, method)
    _check_prompts(options, options["num_tokens"], "use fewer prompts or tokens")


def _check_prompts(options: dict[str, Any], num_tokens: int, fix: str) -> None:
    prompts, anchors, words = (options[name] for name in ("num_prompts", "num_anchors", "num_words"))
    if not prompts <= anchors < words:
        raise ScenarioError(f"num_prompts {prompts} of num_anchors {anchors} out of num_words {words}: at most as many "
                            "prompts as anchors, and fewer anchors than words")
    sizes = check_layers(options)
    check_words(sizes, words)
    if sizes is not None:
        check_heads(sizes.width, options["num_heads"], "the language model's width")
    check_tokens(sizes, options, prompts + num_tokens, fix)


def cdg_sizes(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Words, heads and positions that the language model has; a patch's step within what is predicted."""
    channel, sizes = scenario.channel, check_layers(options)
    check_words(sizes, options["num_words"])
    if sizes is not None:
        check_heads(sizes.width, options["num_heads"], "the language model's width")
        if options["num_tokens"] > sizes.num_words:
            raise ScenarioError(f"num_tokens: the language model has {sizes.num_words} words (given "
                                f"{options['num_tokens']})")
    if options["stride"] > channel.num_future:
        raise ScenarioError(f"stride: patches {options['stride']} samples apart, but only channel.num_future = "
                            f"{channel.num_future} are predicted after the history: use at most as many")
    patches = 1 + -(-max(channel.num_history - options["patch_size"], 0) // options["stride"])
    check_tokens(sizes, options, patches, "use a larger stride or a shorter history")


def csi_alm_light_sizes(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Heads divide the width; a teacher is CSI-ALM with attention relations that this student can have."""
    check_heads(options["width"], options["num_heads"])
    _check_teacher("csi_alm_light", "csi_alm", ("patch_size", "num_prompts"), options, scenario, method)


def csi_alm_ad_light_sizes(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """As `csi_alm_light_sizes`, of CSI-ALM-AD."""
    band_in_reach(options, scenario, method)
    check_heads(options["width"], options["num_heads"])
    _check_teacher("csi_alm_ad_light", "csi_alm_ad", ("num_iterations", "num_tokens", "num_prompts"), options, scenario,
                   method)


def _check_teacher(student: str, block: str, equal: tuple[str, ...], options: dict[str, Any],
                   scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Whether the teacher that the file names is of the right block, reads the same tokens and has relations to teach.

    :param equal: options that must be the teacher's.
    """
    if method is None:
        return
    name = method.predictor.training.teacher
    teacher = next((other.predictor for other in scenario.methods if other.name == name and other is not method), None)
    if teacher is None:
        return
    if teacher.name != block:
        raise ScenarioError(f"{student} learns from {block} alone, and training.teacher {name!r} is {teacher.name}")
    taught = teacher.options
    if taught["body"] == "none":
        raise ScenarioError(f"its teacher {name!r} has body: none, so no attention to learn from")
    for option in equal:
        if taught[option] != options[option]:
            raise ScenarioError(f"{option}: {options[option]}, but its teacher {name!r} has {taught[option]}; "
                                "attention relations need as many tokens, of the same things: make them equal")
    try:
        sizes = check_layers(taught)
    except ScenarioError:  # the teacher's own fault, told at its place
        return
    for of, width in (("its width", options["width"]), ("its teacher's width", sizes.width if sizes else 0)):
        if width % options["num_relation_heads"]:
            raise ScenarioError(f"num_relation_heads: {options['num_relation_heads']} heads do not divide {of} {width}")


_FIX = "write channel.speed_kmh"


def check_speed(scenario: ResolvedScenario) -> None:
    """Whether something takes the Doppler shift from a speed that neither the file nor the scenario says.

    :raises ScenarioError: ``key: message``.
    """
    if scenario.channel.knows_speed:
        return
    for index, method in enumerate(scenario.methods):
        predictor = method.predictor
        if predictor is not None and predictor.options.get("doppler", "estimated") != "estimated":
            raise ScenarioError(
                f"methods.{index}.predictor: {predictor.name} takes the Doppler shift from the terminals' speed, which "
                f"neither the channel file nor the scenario says: {_FIX}, or doppler: estimated")
    if scenario.link.mode != "rate" and scenario.link.coding.receiver == "lmmse":
        raise ScenarioError("link.coding.receiver: lmmse takes the Doppler shift from the terminals' speed, which "
                            f"neither the channel file nor the scenario says: {_FIX}, or receiver: ls")
