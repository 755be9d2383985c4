"""What semantic codecs need of a scenario."""

from __future__ import annotations

from typing import Any

from linksim.backbone.choice import check_heads
from linksim.core.errors import ScenarioError
from linksim.nr.rules import check_error_rate
from linksim.nr.slots import ORDERS
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


MAX_VALUE_BITS = 8
"""Finest quantiser of an embedding's component."""

MAX_TRIES = 100
"""Generated captions of one: far more than are stored of any."""


def networks(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Heads divide the width; training goes from a lower to a higher SNR."""
    check_heads(options["width"], options["num_heads"])
    if options.get("snr_low_db", 0) > options.get("snr_high_db", 0):
        raise ScenarioError(f"snr_low_db: {options['snr_low_db']:g} dB is above snr_high_db "
                            f"({options['snr_high_db']:g} dB)")
    if options.get("tries", 1) > MAX_TRIES:
        raise ScenarioError(f"tries: at most {MAX_TRIES} generated captions are tried (given {options['tries']})")


def blocks_of_bits(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """As `networks`; an error rate that link adaptation can aim at, and quantisers that there are."""
    networks(options, scenario, method)
    check_error_rate(options["target_error_rate"])
    if options.get("value_bits", 1) > MAX_VALUE_BITS:
        raise ScenarioError(f"value_bits: components are quantised in 1 to {MAX_VALUE_BITS} bits (given "
                            f"{options['value_bits']})")


def reed_solomon(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """As `networks`; a code word that fits the channel uses."""
    networks(options, scenario, method)
    code_word(scenario.semantic.channel_uses, options["order"], options["rate"], options["symbol_bits"])


def code_word(channel_uses: int, order: int, rate: float, symbol_bits: int) -> tuple[int, int, int]:
    """The Reed-Solomon code that fills the channel uses of a caption.

    :param order: bits of a QAM symbol; ``symbol_bits`` of one of the code, 4 or 8.
    :param rate: of the code.
    :returns: code words, symbols of each, and how many of these are parity.
    :raises ScenarioError: an option out of range, or too few channel uses for a code word.
    """
    if order not in ORDERS:
        raise ScenarioError(f"order: bits of a symbol are one of {', '.join(map(str, ORDERS))} (given {order})")
    if not 0 < rate < 1:
        raise ScenarioError(f"rate: that of a Reed-Solomon code lies between 0 and 1 (given {rate:g})")
    if symbol_bits not in (4, 8):
        raise ScenarioError(f"symbol_bits: Reed-Solomon symbols of 4 or 8 bits are known (given {symbol_bits})")
    num_symbols = channel_uses * order // symbol_bits
    num_words = -(-num_symbols // (2**symbol_bits - 1))
    length = num_symbols // max(1, num_words)  # of a code word; a few symbols may be left over
    parity = max(2, 2 * round((1 - rate) * length / 2))
    if length - parity < 1:
        raise ScenarioError(f"{channel_uses} channel uses of {order} bits hold no Reed-Solomon code word of rate "
                            f"{rate:g}: more semantic.channel_uses, bits of a symbol or rate needed")
    return num_words, length, parity
