"""What blocks need of the scenario that names them, known before torch is: the functions of ``register(requires=…)``.

Each takes a block's validated options, the scenario at one sweep point, and the method that names the block (None for
``link.precoder``); it raises a `linksim.errors.ScenarioError` that says what is needed and the fix, without the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linksim.errors import ScenarioError

if TYPE_CHECKING:
    from linksim.registry import BlockSpec
    from linksim.scenario.schema import Method, Scenario


def check_requirement(key: str, spec: BlockSpec, options: dict[str, Any], scenario: Scenario,
                      method: Method | None = None) -> None:
    """What `BlockSpec.check_requirement` says, at the place of the block's entry.

    :raises ScenarioError: the scenario does not give the block what it needs, as ``key: block: what and fix``.
    """
    try:
        spec.check_requirement(options, scenario, method)
    except ScenarioError as error:
        raise ScenarioError(f"{key}: {spec.name}: {error}") from None
