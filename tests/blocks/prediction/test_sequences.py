from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch, normalized_errors
from linksim.blocks.prediction.sequences import from_sequences, taken_sequences, to_sequences
from linksim.core.registry import create
from linksim.training.antenna_pairs import some_pairs


def test_there_and_back_is_the_channel(few_paths, split):
    history, _ = split(few_paths(), 0.016, seed=1)
    x, scale = to_sequences(history)
    again = from_sequences(x, scale, history, history.time_s, history.frequency_hz)
    assert torch.allclose(again.h, history.h, atol=1e-6)


def test_every_user_has_unit_mean_power_whatever_the_others_have(few_paths, split):
    history, _ = split(few_paths(), 0.016, seed=1)
    gain = torch.tensor([1e-6, 1.0, 1e3])[:, None, None, None, None, None]
    x, _ = to_sequences(replace(history, h=gain * history.h))
    assert torch.allclose(x, to_sequences(history)[0], rtol=1e-4, atol=1e-5)
    power = 2 * x.square().unflatten(0, history.h.shape[:4]).mean((2, 3, 4, 5))
    assert torch.allclose(power, torch.ones_like(power))


def test_sequences_of_another_horizon_are_refused(few_paths, split):
    history, future = split(few_paths(), 0.016, seed=1)
    x, scale = to_sequences(history)
    with pytest.raises(ValueError, match="made for 16 steps of 12 subcarriers, but 4 steps of 12 are asked for"):
        from_sequences(x, scale, history, future.time_s, future.frequency_hz)


def test_all_pairs_taken_have_the_errors_of_whole_users(few_paths, split):
    history, future = split(few_paths(), 0.016, seed=1)
    taken = taken_sequences(TrainingBatch(history, future, future))
    x, scale = to_sequences(history)
    assert torch.equal(taken.x, x)
    y = torch.randn(len(x), 4, 24, generator=torch.Generator().manual_seed(0))
    predicted = from_sequences(y, scale, history, future.time_s, future.frequency_hz)
    torch.testing.assert_close(taken.errors(y), normalized_errors(predicted.h, future.h))


def test_other_csi_is_taken_of_the_same_pairs_and_normalised_alike(few_paths, split):
    history, future = split(few_paths(), 0.016, seed=1)
    taken = taken_sequences(TrainingBatch(history, future, future))
    torch.testing.assert_close(taken.of(history), taken.x)
    torch.testing.assert_close(taken.of(future).view_as(taken.future) * taken.scale, taken.future)


@pytest.mark.parametrize("name", ["gru", "csi_alm_light"])
def test_a_block_learns_from_as_many_pairs_as_a_batch_has(name, few_paths, split):
    history, future = split(few_paths(batch=2), 0.016, seed=1)
    batch = TrainingBatch(history, future, future)
    predictor = create("predictor", name)
    predictor.prepare(ProblemShape(16, 4, 12, 0.1))
    sizes = []
    embedding = predictor.network.encoder if name == "gru" else predictor.network.embedding
    embedding.register_forward_hook(lambda layer, inputs, output: sizes.append(len(inputs[0])))
    for some, expected in ((batch, 32), (some_pairs(batch, torch.tensor([0, 5, 7]).expand(2, 2, -1)), 12)):
        sizes.clear()
        assert predictor.training_loss(some).isfinite()
        assert sizes[0] == expected
        sizes.clear()
        assert predictor.validation_errors(some).shape == (2,)
        assert sizes[0] == expected
