from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.polynomial import polynomial_weights


@pytest.mark.parametrize("order", [1, 2])
def test_polynomials_of_the_order_are_continued_exactly(order):
    past, future = torch.arange(-4.0, 1.0, dtype=torch.float64), torch.arange(1.0, 5.0, dtype=torch.float64)
    weights = polynomial_weights(past, future, order)
    torch.testing.assert_close(weights @ (2 - past**order), 2 - future**order)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, dtype=torch.float64))
