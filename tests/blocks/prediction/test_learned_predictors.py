"""What every predictor trained by gradient descent must be: sized by the problem, local, differentiable."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch, normalized_error
from linksim.core.errors import ScenarioError
from linksim.core.registry import create, find, validate_options

DEFAULT_SHAPE = ProblemShape(num_history=16, num_future=4, num_subcarriers=48, max_doppler_cycles=0.11)
"""The scenarios' default problem, which is the papers'."""

SMALL = {
    "rnn": {"hidden_size": 32, "num_layers": 2},
    "gru": {"hidden_size": 32, "num_layers": 2},
    "lstm": {"hidden_size": 32, "num_layers": 2},
    "cnn": {"num_layers": 3},
    "transformer": {"width": 32, "feedforward_width": 32, "num_heads": 4, "num_encoder_layers": 2,
                    "num_decoder_layers": 1, "num_start": 3, "dropout": 0.0},
    "llm4cp": {"weights": "random", "num_layers": 1, "adaptation": "full", "num_channels": 8,
               "num_blocks": 1, "dropout": 0.0},
}
"""Options that make each predictor small enough to be trained here."""

PUBLISHED = {"rnn": 0.51e6, "gru": 1.49e6, "lstm": 1.96e6, "transformer": 6.78e6, "cnn": 3.14e6}
"""Parameters in Table I of CSI-ALM; LLM4CP's stand in test_llm4cp.py."""


def make(name, shape, options, seed=0):
    torch.manual_seed(seed)
    predictor = create("predictor", name, options)
    predictor.prepare(shape)
    return predictor.eval()


@pytest.fixture(scope="module")
def prepared(tiny_language_model):
    """Makes a small predictor for a shape."""

    def prepare(name, shape, seed=0):
        backbone = {"backbone": tiny_language_model} if name == "llm4cp" else {}
        return make(name, shape, SMALL[name] | backbone, seed)

    return prepare


@pytest.fixture(scope="module", params=[(16, 4, 12), (7, 3, 5), (2, 1, 3)], ids=str)
def problem(request, few_paths, split):
    """Noisy history, clean future, and the shape of the problem."""
    num_history, num_future, num_subcarriers = request.param
    history, future = split(few_paths(num_subcarriers, batch=2), 0.016, seed=1)
    history = history.with_h(history.h[..., :num_history, :], history.time_s[:num_history])
    future = future.with_h(future.h[..., :num_future, :], future.time_s[:num_future])
    return history, future, ProblemShape(num_history, num_future, num_subcarriers, 0.1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_of_parameters(name):
    with torch.device("meta"):
        predictor = make(name, DEFAULT_SHAPE, {})
    assert sum(p.numel() for p in predictor.parameters()) == pytest.approx(PUBLISHED[name], rel=0.02)


@pytest.mark.parametrize("offset_hz", [0.0, 12 * 180e3])
@pytest.mark.parametrize("name", SMALL)
def test_the_prediction_lies_on_the_target_grid(name, offset_hz, problem, prepared):
    history, future, shape = problem
    target_hz = history.frequency_hz + offset_hz
    with torch.inference_mode():
        predicted = prepared(name, shape).predict(history, future.time_s, target_hz)
    assert predicted.h.shape == future.h.shape
    assert predicted.h.dtype == torch.complex64
    assert torch.equal(predicted.time_s, future.time_s)
    assert torch.equal(predicted.frequency_hz, target_hz)


@pytest.mark.parametrize("name", SMALL)
def test_no_antenna_or_user_depends_on_its_batch_neighbours(name, problem, prepared):
    history, future, shape = problem
    predictor = prepared(name, shape)

    def predict(csi):
        return predictor.predict(csi, future.time_s, history.frequency_hz).h

    whole = predict(history)
    noise = torch.randn(history.h.shape, generator=torch.Generator().manual_seed(2), dtype=torch.complex64)
    others = history.h.clone()
    others[1:] = 30 * noise[1:]
    assert torch.allclose(predict(replace(history, h=others))[0], whole[0], rtol=1e-4, atol=1e-5)
    order = torch.tensor([1, 0])
    permuted = replace(history, h=history.h[order], noise_variance=history.noise_variance[order],
                       max_doppler_hz=history.max_doppler_hz[order])
    assert torch.allclose(predict(permuted), whole[order], rtol=1e-4, atol=1e-5)
    predictor.sequences_at_once = 3
    assert torch.allclose(predict(history), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_prediction_scales_with_the_channel_and_of_nothing_is_nothing(name, problem, prepared):
    history, future, shape = problem
    predictor = prepared(name, shape)
    predicted = predictor.predict(history, future.time_s, history.frequency_hz).h
    scaled = predictor.predict(replace(history, h=1e-5 * history.h), future.time_s, history.frequency_hz).h
    assert torch.allclose(1e5 * scaled, predicted, rtol=1e-3, atol=1e-4)
    silent = predictor.predict(replace(history, h=0 * history.h), future.time_s, history.frequency_hz).h
    assert torch.equal(silent, torch.zeros_like(silent))


@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_every_trainable_parameter(name, problem, prepared):
    history, future, shape = problem
    predictor = prepared(name, shape).train()
    predictor.training_loss(TrainingBatch(history, future, future)).backward()
    without = [key for key, parameter in predictor.named_parameters()
               if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())]
    assert not without


@pytest.mark.parametrize("name", SMALL)
def test_a_few_drops_are_fitted(name, few_paths, split, prepared):
    history, future = split(few_paths(num_subcarriers=4, batch=1), 1e-4, seed=1)
    batch = TrainingBatch(history, future, future)
    predictor = prepared(name, ProblemShape(16, 4, 4, 0.1)).train()
    optimizer = torch.optim.Adam(predictor.parameters(), 3e-3)
    losses = []
    while len(losses) < 300 and (not losses or losses[-1] > losses[0] / 20):
        optimizer.zero_grad()
        loss = predictor.training_loss(batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    fitted = predictor.eval().predict(history, future.time_s, future.frequency_hz)
    assert float(normalized_error(fitted.h, future.h).detach()) < losses[0] / 10


@pytest.mark.parametrize("name", SMALL)
def test_other_sizes_than_prepared_for_are_refused_in_one_line(name, problem, prepared):
    history, future, shape = problem
    predictor = prepared(name, shape)
    with pytest.raises(ValueError, match=rf"made for {shape.num_future} steps of .* but {shape.num_future + 1} steps"):
        predictor.predict(history, torch.cat([future.time_s, future.time_s[-1:] + 5e-4]), history.frequency_hz)
    shorter = history.with_h(history.h[..., 1:, :], history.time_s[1:])
    with pytest.raises(ValueError, match=rf"{name} is made for {shape.num_history} history samples .* but is given"):
        predictor.predict(shorter, future.time_s, history.frequency_hz)


@pytest.mark.parametrize("name", SMALL)
def test_options_are_checked_by_name_and_range(name):
    spec = find("predictor", name)
    assert spec.trains
    assert validate_options(spec, {}) == spec.options().model_dump()
    with pytest.raises(ScenarioError, match="has no option"):
        validate_options(spec, {"hiden_size": 3})
    option = "num_blocks" if name == "llm4cp" else "width" if name == "transformer" else "num_layers"
    with pytest.raises(ScenarioError, match=option):
        validate_options(spec, {option: 0})


@pytest.mark.parametrize("name", SMALL)
def test_a_saved_state_restores_the_prediction(name, problem, prepared):
    history, future, shape = problem
    first, second = prepared(name, shape, seed=0), prepared(name, shape, seed=1)
    state = first.saved_state()
    second.load_state_dict(state, strict=False)
    predicted = [p.predict(history, future.time_s, history.frequency_hz).h for p in (first, second)]
    assert torch.equal(*predicted)
