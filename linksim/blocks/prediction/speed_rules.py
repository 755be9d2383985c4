"""What a scenario cannot use where nobody knows how fast the terminals of its channel files are."""

from __future__ import annotations

from linksim.core.errors import ScenarioError
from linksim.scenario.resolved import ResolvedScenario

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
