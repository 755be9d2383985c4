"""Csi-LLM: the next sample at every position, histories and horizons of any length, nothing of the future seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.csi_llm import steps_after
from linksim.blocks.prediction.learned import ProblemShape, normalized_error
from linksim.blocks.prediction.sequences import taken_sequences
from linksim.core.registry import create

SHAPE = ProblemShape(num_history=6, num_future=3, num_subcarriers=5, max_doppler_cycles=0.1)


@pytest.fixture(scope="module")
def batch(short_batch):
    return short_batch


@pytest.fixture(scope="module")
def make(tiny_language_model):
    def predictor(seed=0, **options):
        torch.manual_seed(seed)
        made = create("predictor", "csi_llm", {"backbone": tiny_language_model, "weights": "random", "num_layers": 2,
                                               **options})
        made.prepare(SHAPE)
        for name, parameter in made.named_parameters():
            if "to_target" in name or ".lora_B." in name:  # zero at first: give them something to do
                torch.nn.init.normal_(parameter, std=0.1)
        return made.eval()

    return predictor


def test_later_samples_change_nothing_before_them(make):
    network, x = make().network, torch.randn(4, 9, 10)
    changed = x.clone()
    changed[:, 5:] += 1
    for whole, other in zip(network.after_each(x), network.after_each(changed), strict=True):
        assert whole.shape == x.shape
        torch.testing.assert_close(other[:, :5], whole[:, :5])
        assert not torch.allclose(other[:, 5:], whole[:, 5:])


def test_a_roll_out_reads_its_own_predictions_one_after_another(make):
    network, x = make().network, torch.randn(4, 6, 10)
    known, steps = x, []
    for _ in range(3):
        following, target = network.after_each(known)
        steps.append(target[:, -1:])
        known = torch.cat([known, following[:, -1:]], 1)
    torch.testing.assert_close(network(x), torch.cat(steps, 1), atol=1e-5, rtol=1e-5)


def test_any_history_and_horizon_on_the_grid_of_csi_periods(make, batch):
    predictor, history = make(), batch.history
    time_s = history.time_s[-1] + 5e-4 * torch.arange(1, 6)
    whole = predictor.predict(history, time_s, history.frequency_hz).h
    assert whole.shape == (2, 2, 1, 8, 5, 5)
    chosen = predictor.predict(history, time_s[[3, 1]], history.frequency_hz).h
    torch.testing.assert_close(chosen, whole[..., [3, 1], :])
    shorter = history.with_h(history.h[..., 2:, :], history.time_s[2:])
    assert predictor.predict(shorter, time_s, history.frequency_hz).h.isfinite().all()
    with pytest.raises(ValueError, match="made for histories of 5 subcarriers, but is given 4"):
        predictor.predict(history.with_h(history.h[..., :4], None, history.frequency_hz[:4]), time_s,
                          history.frequency_hz)


@pytest.mark.parametrize("periods", [0.0, 1.5, -1.0])
def test_times_between_csi_periods_or_before_the_end_are_refused(periods, batch):
    with pytest.raises(ValueError, match=f"whole CSI periods .*{periods:.3g} periods"):
        steps_after(batch.history, batch.history.time_s[-1:] + 5e-4 * periods)


def test_no_user_or_antenna_depends_on_its_batch_neighbours(make, batch):
    predictor, history = make(), batch.history
    whole = predictor.predict(history, batch.future.time_s, history.frequency_hz).h
    alone = replace(history, h=history.h[1:], noise_variance=history.noise_variance[1:],
                    max_doppler_hz=history.max_doppler_hz[1:])
    torch.testing.assert_close(predictor.predict(alone, batch.future.time_s, history.frequency_hz).h, whole[1:])
    predictor.sequences_at_once = 3
    torch.testing.assert_close(predictor.predict(history, batch.future.time_s, history.frequency_hz).h, whole)
    silent = replace(history, h=0 * history.h)
    assert not predictor.predict(silent, batch.future.time_s, history.frequency_hz).h.any()


def test_the_loss_counts_every_next_sample_and_the_future(make, batch):
    """Without noise, as printed: errors of the future in its band, and of all next samples in the history's."""
    quiet = replace(batch, history=replace(batch.history, noise_variance=torch.zeros(2, 2)))
    other = batch.uplink_future.with_h(2 * batch.uplink_future.h)  # told apart from the future by its values
    quiet = replace(quiet, uplink_future=other)
    taken = taken_sequences(quiet)
    text = torch.cat([taken.x, taken.of(other)], 1)
    predictor = make()
    following, target = predictor.network.after_each(text[:, :-1])
    next_error = (following - text[:, 1:]).square().sum((1, 2)) / (8 * 5)  # eight next samples of five subcarriers
    future_error = taken.errors(target[:, -3:])
    for weight in (0.0, 2.0):
        predictor.next_sample_weight = weight
        torch.testing.assert_close(predictor.training_loss(quiet), future_error.mean() + weight * next_error.mean())


def test_what_is_fed_at_the_predicted_times_is_as_noisy_as_the_history(make, batch):
    predictor = make()
    taken = taken_sequences(batch)
    future = taken.of(batch.uplink_future)
    torch.manual_seed(0)
    noise = torch.stack([predictor._noise(batch, taken.scale, future) for _ in range(50)]).view(50, 4, -1)
    variance = 2 * noise.square().mean((0, 2)) * taken.scale.flatten().square()
    torch.testing.assert_close(variance, batch.history.noise_variance.flatten(), rtol=0.05, atol=0)


def test_gradients_reach_all_that_is_trained_and_nothing_else(make, batch):
    predictor = make().train()
    predictor.training_loss(batch).backward()
    for name, parameter in predictor.named_parameters():
        trained = "backbone" not in name or ".lora_" in name
        assert parameter.requires_grad == trained, name
        assert (parameter.grad is not None and parameter.grad.any()) == trained, name


@pytest.mark.parametrize("options", [{"body": "none"}, {"body": "attention"}, {"adaptation": "frozen"},
                                     {"adaptation": "norms"}, {"adaptation": "full"}], ids=str)
def test_every_control_is_one_switch(options, make, batch):
    predictor = make(**options)
    predictor.training_loss(batch).backward()
    assert all(p.grad is not None for p in predictor.parameters() if p.requires_grad)
    assert predictor.network(torch.randn(3, 6, 10)).shape == (3, 3, 10)


def test_a_few_drops_are_fitted(make, batch):
    quiet = replace(batch, history=replace(batch.history, noise_variance=torch.full((2, 2), 1e-4)))
    predictor = make(adaptation="full").train()
    optimizer = torch.optim.Adam(predictor.parameters(), 3e-3)
    losses = []
    for _ in range(80):
        optimizer.zero_grad()
        loss = predictor.training_loss(quiet)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 3
    fitted = predictor.eval().predict(quiet.history, batch.future.time_s, batch.future.frequency_hz)
    assert float(normalized_error(fitted.h, batch.future.h).detach()) < 0.5


def test_a_checkpoint_holds_no_language_model_and_restores_the_prediction(make):
    first, second, x = make(seed=0), make(seed=1), torch.randn(3, 6, 10)
    state = first.saved_state()
    assert not [name for name in state if "backbone" in name and ".lora_" not in name]
    assert not torch.allclose(second.network(x), first.network(x))
    second.load_state_dict(state, strict=False)
    assert torch.equal(second.network(x), first.network(x))
