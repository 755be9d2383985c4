from __future__ import annotations

import pytest
import torch

from linksim.loading.load import load_scenario
from linksim.training.preparation import parts_of
from studies.readings.__main__ import SCENARIO, block_of


@pytest.fixture(scope="module")
def parts():
    """Of all readings and blocks, by name."""
    end = " (weights_seed 0)"
    return {part.name.removesuffix(end): part for part in parts_of(load_scenario(SCENARIO))
            if part.is_learned and part.name.endswith(end)}


def test_every_reading_predicts_and_learns_and_is_not_the_block(parts):
    x = torch.randn(2, 16, 96, generator=torch.Generator().manual_seed(1))
    of_blocks = {}
    for name, part in parts.items():  # a block comes before its readings
        torch.manual_seed(0)
        network = part.untrained().network.train()
        y = network(x)
        assert y.shape == (2, 4, 96), name
        y.square().mean().backward()
        learns = [parameter.grad is not None for parameter in network.parameters() if parameter.requires_grad]
        assert sum(learns) > 0.8 * len(learns), name
        with torch.no_grad():
            y = network.eval()(x)
        block, _, reading = name.partition(", ")
        size = sum(parameter.numel() for parameter in network.parameters())
        if reading == "block":
            of_blocks[block] = y, size
        else:  # what starts at zero is no difference yet
            assert size != of_blocks[block][1] or not torch.allclose(y, of_blocks[block][0], atol=1e-3), name


def test_a_plain_transformer_has_as_many_parameters(parts):
    plain, block = (sum(parameter.numel() for parameter in parts[f"Transformer, {name}"].untrained().parameters())
                    for name in ("plain", "block"))
    assert abs(plain / block - 1) < 0.05


def test_a_readings_block_is_a_row(parts):
    assert {block_of(name) for name in parts} <= {*parts}
