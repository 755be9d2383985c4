"""Fields added to the schema must not change what the shipped scenarios draw."""

from pathlib import Path

import pytest

from linksim.experiment.plan import make_plan, unit_seed
from linksim.loading.load import load_scenario
from linksim.training.data import training_conditions, training_seed

SCENARIOS = Path(__file__).parents[2] / "scenarios"

KNOWN = {
    # labels of the channel points, last digits of the first unit's seed and of the first training chunk's
    "fdd_modes": (["5d3805757f", "071b3a9e97", "3d4b8c3c06", "0a3b456284"], 347917, 268555),
    "fdd_uma_30kmh": (["4ba4af32c7"], 290297, 323980),
    "history_snr": (["42b8cd851e"], 934305, 941693),
    "pilots_uma": (["328ad2fd06"], 280680, 252696),
    "tdd_uma_speed": (["40bcf47ac7", "29a7cc011e", "17e86a471d", "1b2b6b7001", "29417011f9", "53b30d49a1",
                       "590d83aed3"], 54331, 819544),
    "tdd_umi_speed": (["647120725b", "6bc3f94e10", "2eeac62623", "7309a06cd1", "6bd59ee0cc", "11b9ef5b43",
                       "66c58521a0"], 616725, 872079),
}


@pytest.mark.parametrize("name", KNOWN)
def test_streams_of_the_shipped_scenarios_are_what_they_were(name):
    scenario = load_scenario(SCENARIOS / f"{name}.yaml")
    plan = make_plan(scenario)
    found = ([point.label for point in plan.channel_points], unit_seed(scenario, plan.channel_points[0], 0) % 10**6,
             training_seed(scenario, training_conditions(scenario)[0][0], 0) % 10**6)
    assert found == KNOWN[name]
