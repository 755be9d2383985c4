"""CSI-ALM, equation by equation: shapes, alignment with the dictionary, prompts, and what a control takes away."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.csi_alm import CrossModalAlignment, CrossSpatialAttention, CsiAlmNetwork
from linksim.blocks.prediction.trained import ProblemShape, TrainingBatch
from linksim.registry import create

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


def network(**changes):
    torch.manual_seed(0)
    options = {"patch_size": 4, "num_words": 12, "num_anchors": 7, "num_prompts": 2, "num_heads": 4, **changes}
    return CsiAlmNetwork(SHAPE, Tiny(), **options).eval()


def test_prompts_are_the_anchors_nearest_to_the_tokens():
    model = network()
    x = torch.randn(5, 6, 10)
    tokens, cosine = model.tokens(x)
    assert tokens.shape == (5, 2 + 6, 16)
    anchors = model.to_anchors(model.words.mT).mT
    scores = torch.nn.functional.cosine_similarity(tokens[:, 2:, None], anchors, dim=-1).mean(1)
    best = scores.topk(2, -1)
    torch.testing.assert_close(tokens[:, :2], anchors[best.indices])
    torch.testing.assert_close(cosine, best.values.mean(-1))


def test_a_prediction_has_the_targets_shape_and_no_batch_neighbours():
    model = network()
    x = torch.randn(5, 6, 10)
    y = model(x)
    assert y.shape == (5, 3, 10)
    torch.testing.assert_close(model(x[2:3]), y[2:3])
    assert model.backbone.seen.shape == (1, 8, 16)


def test_a_history_that_does_not_fill_its_patches_is_filled_with_zeros():
    """Six samples in patches of four: the two added zeros reach no output but through the attention's weights."""
    attention = CrossSpatialAttention(8, 4)
    assert attention(torch.randn(2, 10, 2, 4)).shape == (2, 10, 2, 4)
    assert network(patch_size=5)(torch.randn(2, 6, 10)).shape == (2, 3, 10)


def test_the_gate_mixes_words_and_time():
    torch.manual_seed(0)
    alignment = CrossModalAlignment(16, 4)
    tokens, words = torch.randn(3, 6, 16), torch.randn(9, 16)
    with torch.no_grad():
        alignment.gate.weight.zero_()
        alignment.gate.bias.fill_(-100.0)  # time alone
        time = alignment.self_attention(tokens, tokens, tokens)[0]
        torch.testing.assert_close(alignment(tokens, words), time)
        alignment.gate.bias.fill_(100.0)  # words alone: every token a mixture of values of words
        values = alignment.value(words)
        mixed = alignment(tokens, words)
        solution = torch.linalg.lstsq(values.mT, mixed.flatten(0, 1).mT).solution
        torch.testing.assert_close((values.mT @ solution).mT, mixed.flatten(0, 1), atol=1e-4, rtol=1e-3)


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
