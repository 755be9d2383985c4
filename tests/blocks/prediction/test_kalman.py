from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.kalman import kalman_filter, matrix_kalman_predict
from linksim.core.registry import create


def test_scalar_and_matrix_filters_agree_on_one_antenna():
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(12, 1, generator=generator, dtype=torch.complex128)
    coefficients = torch.tensor([[1.2 + 0.1j, -0.4]], dtype=torch.complex128)
    real = {"power": 0.8, "process_noise": 0.3, "noise_variance": 0.2}
    real = {name: torch.tensor([value], dtype=torch.float64) for name, value in real.items()}
    state = kalman_filter(y, coefficients, **real)
    expected = (coefficients * state.flip(0).T).sum()
    predicted = matrix_kalman_predict(
        y.T[None, :, :, None], coefficients[None], real["process_noise"][None, None].to(y.dtype),
        0.8 * torch.eye(2, dtype=y.dtype)[None], real["noise_variance"], [1],
    )
    torch.testing.assert_close(predicted.squeeze(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["kalman", "vector_kalman"])
def test_kalman_filters_beat_hold_in_noise(name, few_paths, split, nmse):
    history, future = split(few_paths(num_subcarriers=48, num_paths=6), 0.016, seed=1)
    errors = [
        nmse(create("predictor", block).predict(history, future.time_s, history.frequency_hz).h, future.h)
        for block in (name, "hold")
    ]
    assert errors[0] < errors[1]
