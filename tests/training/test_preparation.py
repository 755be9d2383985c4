"""What a scenario's methods use is among what is prepared and loaded, whoever else has it as a companion."""

from __future__ import annotations

from pathlib import Path

import pytest

from linksim.loading.load import load_scenario
from linksim.scenario.points import resolved_at, simulated_points
from linksim.scenario.resolved import LEARNING
from linksim.training.parts import KINDS
from linksim.training.preparation import parts_of, used_parts

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").rglob("*.yaml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_block_of_a_shipped_scenario_is_loaded(path):
    scenario = load_scenario(path)
    loaded = {part.key for part in used_parts(scenario)}
    assert loaded <= {part.key for part in parts_of(scenario)}
    for point in simulated_points(scenario):
        there = resolved_at(scenario, point)
        for method in (method for method in there.simulated if not method.only_teaches):
            for kind in LEARNING:
                block = getattr(method, kind)
                if block is not None and block.learns:
                    assert KINDS[kind](there, method).key in loaded, f"{method.name}: {kind}"
