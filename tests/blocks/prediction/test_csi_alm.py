"""CSI-ALM: shapes, patches, published size, and what a control takes away; `test_alignment` has its equations."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.csi_alm import CrossSpatialAttention, CsiAlmNetwork
from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch
from linksim.blocks.prediction.sequences import to_sequences
from linksim.core.registry import create

SHAPE = ProblemShape(num_history=6, num_future=3, num_subcarriers=5, max_doppler_cycles=0.1)


class Tiny(torch.nn.Module):
    """A backbone without a language model: 40 words of width 16."""

    width = 16

    def __init__(self):
        super().__init__()
        self.seen = None

    def principal_words(self, count):
        return torch.randn(count, 16, generator=torch.Generator().manual_seed(1))

    def forward(self, tokens):
        self.seen = tokens
        return tokens


def network(shape=SHAPE, **changes):
    torch.manual_seed(0)
    options = {"patch_size": 4, "num_words": 12, "num_anchors": 7, "num_prompts": 2, "num_heads": 4,
               "feedforward_width": 24, **changes}
    return CsiAlmNetwork(shape, Tiny(), **options).eval()


def test_a_prediction_has_the_targets_shape_and_no_batch_neighbours():
    model = network()
    x = torch.randn(5, 6, 10)
    y = model(x)
    assert y.shape == (5, 3, 10)
    torch.testing.assert_close(model(x[2:3]), y[2:3])
    assert model.backbone.seen.shape == (1, 2 + 2, 16)  # prompts and patches


def test_a_history_that_does_not_fill_its_patches_is_filled_with_zeros():
    """Six samples in patches of four: the two added zeros reach no output but through the attention's weights."""
    attention = CrossSpatialAttention(8, 4)
    assert attention(torch.randn(2, 10, 2, 4)).shape == (2, 10, 2, 4)
    assert network(patch_size=5)(torch.randn(2, 6, 10)).shape == (2, 3, 10)


@pytest.mark.parametrize("num_history", [4, 5, 7, 8])
def test_a_token_is_a_patch_of_attended_rows(num_history):
    torch.manual_seed(0)
    model = network(ProblemShape(num_history, 3, 5, 0.1))
    x = torch.randn(2, num_history, 10)
    rows = torch.zeros(2, 10, -(-num_history // 4) * 4)
    rows[..., :num_history] = x.mT
    attended = model.attend_rows(rows.unflatten(2, (-1, 4)))
    patches = torch.stack([attended[:, :, patch].flatten(1) for patch in range(attended.shape[2])], 1)
    expected = model.text.align(model.embedding(patches) + model.positions, model.text.words)
    torch.testing.assert_close(model.tokens(x)[0][:, 2:], expected)


def test_row_attention_weighs_feature_rows_with_weights_that_sum_to_one():
    torch.manual_seed(0)
    attention, y = CrossSpatialAttention(8, 4), torch.randn(3, 10, 2, 4)
    order = torch.randperm(10)
    torch.testing.assert_close(attention(y[:, order]), attention(y)[:, order])
    same = y[:, :1].expand(-1, 10, -1, -1)  # equal rows, equal weights: what is added is their common value
    torch.testing.assert_close(attention(same), same + attention.value(same))


def test_row_attention_tells_patches_apart():
    """Weights that looked at the mean of a row's patches would be the same for patches in another order."""
    torch.manual_seed(0)
    attention, y = CrossSpatialAttention(8, 4), 3 * torch.randn(3, 10, 2, 4)
    assert not torch.allclose(attention(y.flip(2)).flip(2), attention(y), atol=0.01)


def test_published_sizes():
    predictor = create("predictor", "csi_alm", {"backbone": "gpt2", "weights": "random", "feedforward_width": 2048})
    predictor.prepare(ProblemShape(16, 4, 48, 0.1))
    trained = sum(p.numel() for p in predictor.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in predictor.parameters() if not p.requires_grad)
    assert trained == pytest.approx(11.8e6, rel=0.01)
    assert frozen == pytest.approx(93.8e6 - 11.8e6, rel=0.002)


def test_the_loss_rewards_alignment(few_paths, split):
    history, future = split(few_paths(5, batch=2), 0.016, seed=1)
    history = history.with_h(history.h[..., :6, :], history.time_s[:6])
    future = future.with_h(future.h[..., :3, :], future.time_s[:3])
    batch = TrainingBatch(history, future, future)
    losses = {}
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        predictor = create("predictor", "csi_alm", {"alignment_weight": weight})
        predictor.network = network()
        predictor._trained_for = (6, 5)
        losses[weight] = predictor.training_loss(batch)
        cosine = network().with_alignment(torch.zeros(1, 6, 10))[1]
        assert cosine.shape == (1,)
    assert losses[1.0] < losses[0.0]
    losses[1.0].backward()
    cosine = network().with_alignment(to_sequences(history)[0])[1]
    torch.testing.assert_close(losses[1.0], losses[0.0] - cosine.mean())  # (29)


@pytest.fixture
def of_a_tiny_model(tiny_language_model):
    """A whole predictor on a GPT-2 of width 16."""
    torch.manual_seed(0)
    options = {"backbone": tiny_language_model, "weights": "random", "num_layers": 2, "num_words": 9,
               "num_anchors": 6, "num_heads": 4}
    predictor = create("predictor", "csi_alm", options)
    predictor.prepare(SHAPE)
    return predictor


def test_gradients_reach_low_rank_additions_and_no_frozen_weight(of_a_tiny_model):
    additions = {name: p for name, p in of_a_tiny_model.named_parameters() if ".lora_" in name}
    for name, parameter in additions.items():
        if ".lora_B." in name:  # zero at first, and so is then the gradient of the other factor
            torch.nn.init.normal_(parameter)
    of_a_tiny_model.network(torch.randn(5, 6, 10)).square().sum().backward()
    assert len(additions) == 4  # two factors for the map that makes queries, keys and values, in each of two layers
    assert all(parameter.grad.any() for parameter in additions.values())
    body = {name: p for name, p in of_a_tiny_model.named_parameters() if "backbone" in name and name not in additions}
    assert body
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in body.values())
    rest = {name: p for name, p in of_a_tiny_model.named_parameters() if "backbone" not in name}
    assert all(parameter.grad is not None for parameter in rest.values())


def test_a_checkpoint_holds_no_frozen_weight_and_restores_the_prediction(of_a_tiny_model, tiny_language_model):
    state = of_a_tiny_model.saved_state()
    assert [name for name in state if "backbone" in name and ".lora_" not in name] == []
    assert "network.text.words" in state  # another machine may find another basis of nearly equal components
    other = create("predictor", "csi_alm", {"backbone": tiny_language_model, "weights": "random", "num_layers": 2,
                                            "num_words": 9, "num_anchors": 6, "num_heads": 4})
    other.prepare(SHAPE)
    other.load_state_dict(state, strict=False)
    x = torch.randn(5, 6, 10)
    assert torch.equal(other.eval().network(x), of_a_tiny_model.eval().network(x))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"weights": "random"}, {"body": "attention"}, {"body": "none"},
                                     {"words": "shuffled"}, {"adaptation": "frozen"}], ids=str)
def test_every_control_is_one_switch(options, few_paths, split):
    history, future = split(few_paths(5, batch=1), 0.016, seed=1)
    history = history.with_h(history.h[..., :6, :], history.time_s[:6])
    future = future.with_h(future.h[..., :3, :], future.time_s[:3])
    predictor = create("predictor", "csi_alm", {"num_layers": 1, **options})
    predictor.prepare(SHAPE)
    predictor.training_loss(TrainingBatch(history, future, future)).backward()
    trained = [name for name, parameter in predictor.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(predictor.get_parameter(name).grad is not None for name in trained)
