from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.autoregression import (
    autocorrelation,
    fit_burg,
    fit_least_squares,
    horizon_steps,
    run_forward,
    solve_yule_walker,
)

# Stable: poles 0.9 exp(+-0.5j).
COEFFICIENTS = torch.tensor([1.8 * 0.8775826, -0.81])


@pytest.fixture(scope="module")
def process() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    samples = [torch.zeros(3, dtype=torch.complex64)] * 2
    for _ in range(4000):
        noise = torch.randn(3, generator=generator, dtype=torch.complex64)
        samples.append(COEFFICIENTS[0] * samples[-1] + COEFFICIENTS[1] * samples[-2] + noise)
    return torch.stack(samples[100:])


@pytest.mark.parametrize("fit", [
    lambda y: fit_least_squares(y, 2, 0.0),
    lambda y: fit_burg(y, 2, 0.0),
    lambda y: solve_yule_walker(autocorrelation(y, 2), 0.0),
])
def test_every_fit_recovers_the_process(fit, process):
    found = fit(process)
    torch.testing.assert_close(found, COEFFICIENTS.to(found.dtype).expand(3, 2), atol=0.05, rtol=0)


def test_running_forward_repeats_the_recursion(process):
    predicted = run_forward(process, COEFFICIENTS.to(process.dtype).expand(3, 2), [1, 3])
    one = COEFFICIENTS[0] * process[-1] + COEFFICIENTS[1] * process[-2]
    two = COEFFICIENTS[0] * one + COEFFICIENTS[1] * process[-1]
    three = COEFFICIENTS[0] * two + COEFFICIENTS[1] * one
    torch.testing.assert_close(predicted, torch.stack([one, three]))


def test_times_between_samples_are_refused(few_paths):
    csi = few_paths()
    assert horizon_steps(csi, csi.time_s[-1:] + 3 * csi.sampling_period_s) == [3]
    with pytest.raises(ValueError, match="whole multiples"):
        horizon_steps(csi, csi.time_s[-1:] + 1.5 * csi.sampling_period_s)
    with pytest.raises(ValueError, match="whole multiples"):
        horizon_steps(csi, csi.time_s[-1:])
