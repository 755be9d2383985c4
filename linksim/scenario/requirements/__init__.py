"""What blocks need of the scenario that names them, known before torch is: the functions of ``register(requires=…)``.

Each takes a block's validated options, the scenario at one sweep point, and the method that names the block (None for
``link.precoder``); it raises a `linksim.errors.ScenarioError` that says what is needed and the fix, without the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from linksim.errors import ScenarioError

if TYPE_CHECKING:
    from linksim.scenario.resolved import Block, ResolvedMethod, ResolvedScenario


def check_requirement(key: str, block: Block, scenario: ResolvedScenario, method: ResolvedMethod | None = None
                      ) -> None:
    """What `BlockSpec.check_requirement` says, at the place of the block's entry.

    :raises ScenarioError: the scenario does not give the block what it needs, as ``key: block: what and fix``.
    """
    try:
        block.spec.check_requirement(block.options, scenario, method)
    except ScenarioError as error:
        raise ScenarioError(f"{key}: {block.name}: {error}") from None
