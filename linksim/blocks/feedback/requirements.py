"""What codecs need, beyond what `linksim.blocks.feedback.grid_check` asks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linksim.backbone.requirements import check_layers, check_tokens
from linksim.core.errors import ScenarioError

if TYPE_CHECKING:
    from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario


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
