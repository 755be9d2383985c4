"""Angle-delay tokens: the classical estimate is the path around everything, for every network that reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.angle_delay_tokens import NUM_FEATURES, WaveState, resampled, row_features
from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch, normalized_errors
from linksim.core.registry import create

GRID = {"num_delays": 24, "num_dopplers": 8, "frequency_rank": 12}
SMALL = {**GRID, "width": 16, "num_tokens": 10, "hidden_size": 8}


@pytest.fixture(scope="module")
def drops(few_paths, split):
    return split(few_paths(num_paths=6), 0.016, seed=1)


@pytest.fixture(params=["light", "language model"])
def make(request, tiny_language_model):
    def block(**options):
        torch.manual_seed(0)
        if request.param == "light":
            found = create("predictor", "csi_alm_ad_light", {
                **SMALL, "feedforward_width": 24, "num_layers": 2, "num_relation_heads": 4, **options})
        else:
            found = create("predictor", "csi_alm_ad", {
                **SMALL, "backbone": tiny_language_model, "weights": "random", "num_layers": 2, "num_words": 9,
                "num_anchors": 6, "num_heads": 4, "feedforward_width": 24, **options})
        found.prepare(ProblemShape(16, 4, 12, 0.1))
        return found
    return block


def disturbed(block):
    """As after a training: no last layer is zero."""
    for layer in (block.network.output[-1], *(step.network[-1] for step in block.steps)):
        torch.nn.init.normal_(layer.weight, std=0.1, generator=torch.Generator().manual_seed(3))
    return block.eval()


@pytest.mark.parametrize("doppler", ["known", "estimated"])
def test_untrained_it_is_sparse_bayesian_learning(doppler, make, drops):
    history, future = drops
    untrained = make(num_iterations=1, num_steps=1, doppler=doppler)
    classical = create("predictor", "sparse_bayesian", {**GRID, "num_iterations": 3, "doppler": doppler})
    with torch.no_grad():
        found, expected = (block.predict(history, future.time_s, future.frequency_hz).h
                           for block in (untrained, classical))
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shift_hz", [0.0, 12 * 180e3])
@pytest.mark.parametrize("doppler", ["known", "estimated"])
def test_what_is_validated_is_what_is_predicted(doppler, shift_hz, make, drops):
    history, future = drops
    future = replace(future, frequency_hz=future.frequency_hz + shift_hz)
    block = disturbed(make(doppler=doppler))
    batch = TrainingBatch(history, future, future)
    with torch.no_grad():
        predicted = block.predict(history, future.time_s, future.frequency_hz).h
        found = block.validation_errors(batch)
        again = block.validation_errors(replace(batch, prepared=block.prepared(batch)))
    assert torch.allclose(found, normalized_errors(predicted, future.h).mean(-1), rtol=1e-3)
    assert torch.equal(found, again)


def test_training_gains_and_reaches_every_parameter(make, drops, learn):
    history, future = drops
    block = make().train()
    batch = TrainingBatch(history, future, future)
    batch = replace(batch, prepared=block.prepared(batch))
    first, last = learn(block, batch, 3e-3, 10)
    assert last < first - 0.05
    without = [name for name, parameter in block.named_parameters()
               if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())]
    assert without == ["log_delay_uncertainty_s"]  # nothing fades within the band


def test_no_user_depends_on_another(make, drops):
    history, future = drops
    block = disturbed(make())
    one = replace(history, h=history.h[1:2], noise_variance=history.noise_variance[1:2],
                  max_doppler_hz=history.max_doppler_hz[1:2])
    with torch.no_grad():
        whole, alone = (block.predict(part, future.time_s, future.frequency_hz).h for part in (history, one))
    assert torch.allclose(alone, whole[1:2], rtol=1e-3, atol=1e-3)


def test_one_network_serves_other_sizes(make, drops):
    history, future = drops
    block = disturbed(make())
    shorter = history.with_h(history.h[..., 5:, :8], history.time_s[5:], history.frequency_hz[:8])
    single = history.with_h(history.h[..., :1], history.time_s, history.frequency_hz[:1])
    with torch.no_grad():
        for part, tones in ((shorter, 8), (single, 1)):
            assert block.predict(part, future.time_s, future.frequency_hz[:tones]).h.isfinite().all()


def test_a_turned_channel_is_the_same_to_the_network(make, drops):
    """Powers have no phase: what is predicted of a channel turned by a phase is turned alike."""
    history, future = drops
    block = disturbed(make())
    turn = torch.polar(torch.tensor(1.0), torch.tensor(1.1))
    with torch.no_grad():
        one, other = (block.predict(replace(history, h=h), future.time_s, future.frequency_hz).h
                      for h in (history.h, history.h * turn))
    assert torch.allclose(one * turn, other, rtol=1e-3, atol=1e-3)


def test_states_are_split_and_joined_again(make, drops):
    history, future = drops
    block = make()
    states = [state for of_drop in block.prepared(TrainingBatch(history, future, future)) for _, state in of_drop]
    assert len(states) == history.h.shape[0] * history.h.shape[1]
    assert len({state.kind for state in states}) == 1
    joined = WaveState.joined(states)
    for before, after in zip(states, joined.split(), strict=True):
        assert torch.equal(before.power, after.power)
        assert torch.equal(before.waves.observed, after.waves.observed)
        assert torch.equal(before.waves.doppler.shift_hz, after.waves.doppler.shift_hz)
    features = row_features(joined, history.panel, 2e6)
    assert features.shape == (len(states), 4, joined.power.shape[-1], NUM_FEATURES)
    assert features.isfinite().all()


def test_a_spectrum_of_more_parts_keeps_its_shape():
    spectrum = torch.linspace(0, 1, 16)
    assert torch.equal(resampled(spectrum, 16), spectrum)
    finer = resampled(spectrum[None], 32)[0]
    assert torch.allclose(finer[1:-1], (torch.arange(32) + 0.5)[1:-1] / 32 * 16 / 15 - 0.5 / 15, atol=1e-5)


@pytest.mark.parametrize("period_ms", [0.5, 40])
def test_what_is_prepared_comes_back_from_files(period_ms, make, drops):
    history, future = (replace(csi, time_s=csi.time_s * period_ms / 0.5) for csi in drops)  # slow samples have aliases
    block, batch = make(), TrainingBatch(history, future, future)
    made = block.prepared(batch)
    again = block.unpacked({name: value.clone() for name, value in block.packed(made).items()})
    assert [[user for user, _ in states] for states in again] == [[user for user, _ in states] for states in made]
    for one, other in ((one, other) for a, b in zip(made, again) for (_, one), (_, other) in zip(a, b)):
        assert one.kind == other.kind
        assert one.tensors().keys() == other.tensors().keys()
        assert all(torch.equal(value, other.tensors()[name]) for name, value in one.tensors().items())
    errors = [block.validation_errors(replace(batch, prepared=states)) for states in (made, again)]
    assert torch.equal(*errors)
