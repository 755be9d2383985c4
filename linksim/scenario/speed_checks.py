"""What a scenario cannot use where nobody knows how fast the terminals of its channel files are."""

from __future__ import annotations

from linksim import registry
from linksim.errors import ScenarioError
from linksim.scenario.schema import Scenario, block_of, knows_channel

_FIX = "write channel.speed_kmh"


def check_speed(scenario: Scenario) -> None:
    """Whether something takes the Doppler shift from a speed that neither the file nor the scenario says.

    :raises ScenarioError: ``key: message``.
    """
    if scenario.channel.files.speed_known:
        return
    for index, method in enumerate(scenario.methods):
        if method.universal is not None or knows_channel(method):
            continue
        try:
            name, options = block_of(method.predictor)
            values = registry.validate_options(registry.find("predictor", name), options)
        except ScenarioError:
            continue  # said where blocks are checked
        if values.get("doppler", "estimated") != "estimated":
            raise ScenarioError(
                f"methods.{index}.predictor: {name} takes the Doppler shift from the terminals' speed, which neither "
                f"the channel file nor the scenario says: {_FIX}, or doppler: estimated")
    if scenario.link.mode != "rate" and scenario.link.coding.receiver == "lmmse":
        raise ScenarioError("link.coding.receiver: lmmse takes the Doppler shift from the terminals' speed, which "
                            f"neither the channel file nor the scenario says: {_FIX}, or receiver: ls")
