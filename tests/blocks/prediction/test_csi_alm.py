"""CSI-ALM, equation by equation: shapes, alignment with the dictionary, prompts, and what a control takes away."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.csi_alm import CrossModalAlignment, CrossSpatialAttention, CsiAlmNetwork
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


def test_prompts_of_one_token_are_the_anchors_of_the_highest_cosine_in_order():
    """Equation (20) as printed, where a history is one sample: every anchor looked at by itself."""
    torch.manual_seed(0)
    shape = ProblemShape(num_history=1, num_future=1, num_subcarriers=5, max_doppler_cycles=0.1)
    model = CsiAlmNetwork(shape, Tiny(), patch_size=4, num_words=12, num_anchors=7, num_prompts=3, num_heads=4).eval()
    with torch.no_grad():
        tokens, cosine = model.tokens(torch.randn(4, 1, 10))
        anchors = model.to_anchors(model.words.mT).mT
    for prompts, text, mean in zip(tokens[:, :3], tokens[:, 3], cosine, strict=True):
        scores = [float(text @ anchor / (text.norm() * anchor.norm())) for anchor in anchors]
        order = sorted(range(7), key=lambda index: -scores[index])[:3]
        torch.testing.assert_close(prompts, anchors[order])
        assert float(mean) == pytest.approx(sum(scores[index] for index in order) / 3, abs=1e-5)  # (31)


def test_anchors_are_learnt_mixtures_of_the_principal_words():
    model = network()
    anchors = model.to_anchors(model.words.mT).mT  # (19)
    torch.testing.assert_close(anchors, model.to_anchors.weight @ model.words)
    model.tokens(torch.randn(5, 6, 10))[0].square().sum().backward()
    assert model.to_anchors.weight.grad.any()


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


@pytest.mark.parametrize("num_history", [4, 5, 7, 8])
def test_padding_is_zeros_at_the_end_that_reach_no_token(num_history):
    """Rows attend over a history and its zeros; tokens are those of the history alone."""
    torch.manual_seed(0)
    shape = ProblemShape(num_history, 3, 5, 0.1)
    model = CsiAlmNetwork(shape, Tiny(), patch_size=4, num_words=12, num_anchors=7, num_prompts=2, num_heads=4).eval()
    x = torch.randn(2, num_history, 10)
    rows = torch.zeros(2, 10, -(-num_history // 4) * 4)
    rows[..., :num_history] = x.mT
    attended = model.attend_rows(rows.unflatten(2, (-1, 4))).flatten(2)[..., :num_history]
    expected = model.align(model.embedding(attended.mT), model.words)
    torch.testing.assert_close(model.tokens(x)[0][:, 2:], expected)
    assert expected.shape == (2, num_history, 16)


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


def test_alignment_is_the_paper_s_equations():
    """(15) to (18) token by token: softmax over words, scale the root of their width."""
    torch.manual_seed(0)
    alignment = CrossModalAlignment(16, 4)
    tokens, words = torch.randn(3, 6, 16), torch.randn(9, 16)
    aligned = alignment(tokens, words)
    time = alignment.self_attention(*[tokens.transpose(0, 1)] * 3)[0].transpose(0, 1)
    keys, values = words @ alignment.key.weight.T, words @ alignment.value.weight.T
    for sequence in range(3):
        for token in range(6):
            query = alignment.query.weight @ time[sequence, token]
            weights = torch.stack([(query @ key / 4).exp() for key in keys])
            cross = (weights[:, None] * values).sum(0) / weights.sum()
            gate = alignment.gate(torch.cat([cross, time[sequence, token]])).sigmoid()
            expected = cross * gate + time[sequence, token] * (1 - gate)
            torch.testing.assert_close(aligned[sequence, token], expected)


def test_untrained_alignment_nearly_forgets_which_sample_was_when():
    """(13) has no path around it and knows no positions: until it has learned to look, every token is the mean of all.
    docs/results/prediction.md gives this as a reason for slow training.
    """
    torch.manual_seed(0)
    alignment, words = CrossModalAlignment(64, 8), 0.136 * torch.randn(20, 64)
    tokens = torch.nn.Linear(96, 64)(torch.randn(200, 16, 96))
    with torch.no_grad():
        aligned = alignment(tokens, words)
    before, after = (x.std(1).mean() / x.std(0).mean() for x in (tokens, aligned))  # over times, over sequences
    assert before > 0.9
    assert after < 0.25


def test_the_gate_mixes_words_and_time():
    torch.manual_seed(0)
    alignment = CrossModalAlignment(16, 4)
    tokens, words = torch.randn(3, 6, 16), torch.randn(9, 16)
    with torch.no_grad():
        alignment.gate.weight.zero_()
        alignment.gate.bias.fill_(-100.0)  # time alone
        time = alignment.self_attention(*[tokens.transpose(0, 1)] * 3)[0].transpose(0, 1)
        torch.testing.assert_close(alignment(tokens, words), time)
        alignment.gate.bias.fill_(100.0)  # words alone: every token a mixture of values of words
        values = alignment.value(words)
        mixed = alignment(tokens, words)
        solution = torch.linalg.lstsq(values.mT, mixed.flatten(0, 1).mT).solution
        torch.testing.assert_close((values.mT @ solution).mT, mixed.flatten(0, 1), atol=1e-4, rtol=1e-3)


def test_published_sizes_but_for_what_the_paper_leaves_unsaid():
    predictor = create("predictor", "csi_alm", {"backbone": "gpt2", "weights": "random"})
    predictor.prepare(ProblemShape(16, 4, 48, 0.1))
    trained = sum(p.numel() for p in predictor.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in predictor.parameters() if not p.requires_grad)
    assert trained == 5_613_976  # 11.8 M published
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
    assert "network.words" in state  # another machine may find another basis of nearly equal components
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
