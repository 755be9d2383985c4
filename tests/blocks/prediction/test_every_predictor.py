"""Invariants of every predictor that is not trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.core.csi import Csi
from linksim.core.registry import catalogue, create, find

NAMES = [spec.name for spec in catalogue("predictor") if not spec.trains]
WITH_BAND = [name for name in NAMES if "band" in find("predictor", name).options.model_fields]
ADJACENT_HZ = 12 * 180e3


@pytest.fixture(scope="module")
def history_and_future(few_paths, split):
    return split(few_paths(num_paths=6), 0.016, seed=1)


def select(csi: Csi, index: torch.Tensor | slice) -> Csi:
    return replace(csi, h=csi.h[index], noise_variance=csi.noise_variance[index],
                   max_doppler_hz=csi.max_doppler_hz[index])


def relative_difference(left: torch.Tensor, right: torch.Tensor) -> float:
    return float((left - right).abs().max() / right.abs().max().clamp_min(1e-30))


@pytest.mark.parametrize("offset_hz", [0.0, ADJACENT_HZ])
@pytest.mark.parametrize("name", NAMES)
def test_output_lies_on_the_requested_grid_and_is_complex64(name, offset_hz, history_and_future):
    history, future = history_and_future
    target_hz = history.frequency_hz + offset_hz
    predicted = create("predictor", name).predict(history, future.time_s, target_hz)
    assert predicted.h.shape == future.h.shape
    assert predicted.h.dtype == torch.complex64
    assert torch.equal(predicted.time_s, future.time_s)
    assert torch.equal(predicted.frequency_hz, target_hz)


@pytest.mark.parametrize("offset_hz", [0.0, ADJACENT_HZ])
@pytest.mark.parametrize("name", NAMES)
def test_permuting_or_splitting_the_batch_changes_nothing(name, offset_hz, history_and_future):
    history, future = history_and_future
    predictor = create("predictor", name)
    target_hz = history.frequency_hz + offset_hz
    whole = predictor.predict(history, future.time_s, target_hz).h
    order = torch.tensor([2, 0, 1])
    permuted = predictor.predict(select(history, order), future.time_s, target_hz).h
    alone = predictor.predict(select(history, slice(1, 2)), future.time_s, target_hz).h
    assert relative_difference(permuted, whole[order]) < 1e-4
    assert relative_difference(alone, whole[1:2]) < 1e-4


@pytest.mark.parametrize("scale", [1e-5, 30.0])
@pytest.mark.parametrize("name", NAMES)
def test_scaling_channel_and_noise_scales_the_prediction(name, scale, history_and_future):
    history, future = history_and_future
    predictor = create("predictor", name)
    scaled = replace(history, h=history.h * scale, noise_variance=history.noise_variance * scale**2)
    expected = predictor.predict(history, future.time_s, history.frequency_hz).h * scale
    predicted = predictor.predict(scaled, future.time_s, history.frequency_hz).h
    assert relative_difference(predicted, expected) < 1e-3


@pytest.mark.parametrize("noise_variance", [0.0, 0.1])
@pytest.mark.parametrize("offset_hz", [0.0, ADJACENT_HZ])
@pytest.mark.parametrize("name", NAMES)
def test_a_zero_history_is_predicted_as_zero(name, offset_hz, noise_variance, history_and_future):
    history, future = history_and_future
    silent = replace(history, h=torch.zeros_like(history.h),
                     noise_variance=torch.full_like(history.noise_variance, noise_variance))
    predicted = create("predictor", name).predict(silent, future.time_s, history.frequency_hz + offset_hz).h
    assert torch.equal(predicted, torch.zeros_like(predicted))


@pytest.mark.parametrize("name", NAMES)
def test_a_static_noiseless_channel_stays_finite(name, history_and_future):
    history, future = history_and_future
    static = replace(history, h=history.h[..., :1, :].expand_as(history.h).contiguous(),
                     noise_variance=torch.zeros_like(history.noise_variance),
                     max_doppler_hz=torch.zeros_like(history.max_doppler_hz))
    predicted = create("predictor", name).predict(static, future.time_s, history.frequency_hz).h
    assert predicted.isfinite().all()
    assert predicted.abs().max() < 2 * static.h.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_step_four_does_not_depend_on_which_other_steps_are_asked_for(name, history_and_future):
    history, future = history_and_future
    predictor = create("predictor", name)
    all_steps = predictor.predict(history, future.time_s, history.frequency_hz).h
    last_step = predictor.predict(history, future.time_s[-1:], history.frequency_hz).h
    assert relative_difference(last_step, all_steps[..., -1:, :]) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_the_declared_least_history_is_enough(name, history_and_future):
    history, _ = history_and_future
    spec = find("predictor", name)
    needed = max(2, spec.required_history(spec.options().model_dump()))
    short = history.with_h(history.h[..., -needed:, :], history.time_s[-needed:])
    predicted = create("predictor", name).predict(short, history.time_s[-1:] + 5e-4, history.frequency_hz).h
    assert predicted.isfinite().all()


@pytest.mark.parametrize("name", WITH_BAND)
def test_copy_takes_subcarrier_k_for_subcarrier_k(name, history_and_future):
    history, future = history_and_future
    predictor = create("predictor", name, {"band": "copy"})
    same_band = predictor.predict(history, future.time_s, history.frequency_hz).h
    other_band = predictor.predict(history, future.time_s, history.frequency_hz + ADJACENT_HZ).h
    assert torch.equal(other_band, same_band)
