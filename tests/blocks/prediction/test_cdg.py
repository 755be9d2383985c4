"""CDG of SC-LMKB, equation by equation: patches, compressed words, alignment, next words, and the joint loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.cdg import WordAttention
from linksim.blocks.prediction.learned import ProblemShape, normalized_error
from linksim.blocks.prediction.sequences import taken_sequences
from linksim.core.errors import ScenarioError
from linksim.core.registry import create

SHAPE = ProblemShape(num_history=6, num_future=3, num_subcarriers=5, max_doppler_cycles=0.1)


@pytest.fixture(scope="module")
def batch(short_batch):
    return short_batch


@pytest.fixture(scope="module")
def make(tiny_language_model):
    def predictor(seed=0, shape=SHAPE, **options):
        torch.manual_seed(seed)
        made = create("predictor", "cdg", {"backbone": tiny_language_model, "weights": "random", "num_layers": 2,
                                           "num_words": 9, "num_tokens": 7, "num_heads": 4, **options})
        made.prepare(shape)
        torch.nn.init.normal_(made.network.to_target.weight, std=0.1)  # zero at first: give it something to do
        return made.eval()

    return predictor


@pytest.mark.parametrize(("num_history", "expected"), [
    (6, [[0, 1, 2, 3], [2, 3, 4, 5]]), (7, [[0, 0, 1, 2], [1, 2, 3, 4], [3, 4, 5, 6]]), (2, [[0, 0, 0, 1]])], ids=str)
def test_patches_overlap_and_end_with_the_newest_sample(num_history, expected, make):
    network = make(shape=ProblemShape(num_history, 3, 5, 0.1)).network
    x = torch.arange(float(num_history))[None, :, None].expand(2, -1, 10)
    assert network.patches(x).shape == (2, len(expected), 40)
    assert network.patches(x)[1].unflatten(-1, (4, 10))[..., 3].tolist() == expected
    assert network(x).shape == (2, 3, 10)


def test_compressed_words_begin_as_words_of_the_dictionary(make):
    """As far as the principal words reach."""
    network = make(num_words=9).network
    dictionary = network.backbone.word_embeddings()
    basis = torch.linalg.qr(network.words.mT).Q
    chosen = dictionary[torch.linspace(0, 10, 7).long()]
    torch.testing.assert_close(network.compress(network.words.mT).mT, chosen @ basis @ basis.mT, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network.compressed_words().square().mean(-1), torch.ones(7), atol=1e-3, rtol=1e-3)
    network.compressed_words()[0, 0].backward()
    assert network.compress.weight.grad.any()  # (17) is learned


def test_alignment_is_the_paper_s_equation():
    """(18) head by head: softmax over words of products of queries and keys, by the root of their width."""
    torch.manual_seed(0)
    align, patches, words = WordAttention(16, 4), torch.randn(3, 2, 16), torch.randn(9, 16)
    heads = []
    for head in range(4):
        rows = slice(4 * head, 4 * head + 4)
        query, key, value = (x @ part.weight[rows].mT for x, part in
                             [(patches, align.query), (words, align.key), (words, align.value)])
        heads.append((query @ key.mT / 2).softmax(-1) @ value)
    torch.testing.assert_close(align(patches, words), align.joined(torch.cat(heads, -1)))


def test_probabilities_sum_to_one_over_the_vocabulary(make):
    network = make().network
    y, following, logits = network.after_each(torch.randn(4, 6, 10))
    assert y.shape == (4, 3, 10)
    assert following.shape == (4, 2, 3, 10)
    assert logits.shape == (4, 2, 7)
    torch.testing.assert_close(logits.softmax(-1).sum(-1), torch.ones(4, 2))


def test_a_patch_does_not_see_those_after_it(make):
    network, x = make().network, torch.randn(4, 6, 10)
    changed = x.clone()
    changed[:, 4:] += 1
    for whole, other in zip(network.after_each(x)[1:], network.after_each(changed)[1:], strict=True):
        torch.testing.assert_close(other[:, :1], whole[:, :1])
        assert not torch.allclose(other[:, 1:], whole[:, 1:])


def test_true_tokens_are_the_words_nearest_to_the_next_patches(make):
    network, x, future = make().network, torch.randn(4, 6, 10), torch.randn(4, 3, 10)
    truth = network.next_tokens(x, future)
    words = network.compressed_words()
    text = torch.cat([x, future], 1)
    for sequence in range(4):
        for patch, first in enumerate([2, 4]):  # the second of them reaches two samples into the future
            embedded = network.embedding(text[sequence, first:first + 4].flatten())
            assert truth[sequence, patch] == torch.cosine_similarity(embedded, words, dim=-1).argmax()
    assert not truth.requires_grad
    network.stride = 1  # of the future no more than the stride is looked at
    assert network.next_tokens(x, future[:, :1]).shape == (4, 3)


@pytest.mark.parametrize(("num_history", "starts"), [(6, [4, 6]), (7, [3, 5, 7]), (2, [2])])
def test_what_follows_every_patch_begins_where_it_ends(num_history, starts, make):
    network = make(shape=ProblemShape(num_history, 3, 5, 0.1)).network
    x, future = torch.arange(num_history + 3.0)[None, :, None].expand(2, -1, 10).split([num_history, 3], 1)
    following = network.next_samples(x, future)
    assert following.shape == (2, len(starts), 3, 10)
    assert following[0, :, :, 0].tolist() == [[start, start + 1, start + 2] for start in starts]


@pytest.mark.parametrize("predicted", ["soft_token", "hidden"])
def test_the_joint_loss_is_the_nmse_and_a_share_of_cross_entropy(predicted, make, batch):
    predictor = make(predicted=predicted, cross_entropy_weight=0.0, every_patch_weight=0.0)
    fitted = predictor.predict(batch.history, batch.future.time_s, batch.future.frequency_hz)
    nmse = normalized_error(fitted.h, batch.future.h)
    torch.testing.assert_close(predictor.training_loss(batch), nmse)  # (31) alone
    predictor.cross_entropy_weight = 0.5
    taken = taken_sequences(batch)
    future = taken.of(batch.uplink_future)
    _, following, logits = predictor.network.after_each(taken.x)
    probability = logits.softmax(-1).gather(-1, predictor.network.next_tokens(taken.x, future)[..., None])
    joint = nmse - 0.5 * probability.log().mean()  # (30), (32)
    torch.testing.assert_close(predictor.training_loss(batch), joint)
    predictor.every_patch_weight = 2.0
    error = (following - predictor.network.next_samples(taken.x, future)).square().sum(-1).mean() / 5
    torch.testing.assert_close(predictor.training_loss(batch), joint + 2 * error)


def test_no_user_or_antenna_depends_on_its_batch_neighbours(make, batch):
    predictor, history = make(), batch.history

    def predict(csi):
        return predictor.predict(csi, batch.future.time_s, history.frequency_hz).h

    whole = predict(history)
    assert whole.shape == batch.future.h.shape
    alone = replace(history, h=history.h[1:], noise_variance=history.noise_variance[1:],
                    max_doppler_hz=history.max_doppler_hz[1:])
    torch.testing.assert_close(predict(alone), whole[1:])
    predictor.sequences_at_once = 3
    torch.testing.assert_close(predict(history), whole)
    torch.testing.assert_close(predict(replace(history, h=1e-4 * history.h)), 1e-4 * whole, rtol=1e-3, atol=1e-8)
    assert not predict(replace(history, h=0 * history.h)).any()


def test_the_language_model_is_frozen_and_all_else_is_trained(make, batch):
    predictor = make().train()
    predictor.training_loss(batch).backward()
    for name, parameter in predictor.named_parameters():
        assert parameter.requires_grad == ("backbone" not in name), name
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize("options", [{"body": "none"}, {"body": "attention"}, {"adaptation": "lora"},
                                     {"adaptation": "norms"}, {"words": "shuffled"}, {"residual": False},
                                     {"patch_size": 9}, {"stride": 3}], ids=str)
def test_every_control_and_size_is_one_switch(options, make, batch):
    predictor = make(**options)
    predictor.training_loss(batch).backward()
    assert all(p.grad is not None for p in predictor.parameters() if p.requires_grad)


@pytest.mark.parametrize(("options", "words"), [
    ({"num_heads": 3}, "width 16 is no multiple of num_heads 3"),
    ({"num_tokens": 12}, "num_tokens 12, .* has 11 words"),
    ({"stride": 4}, "stride 4 of patches, .* at most 3 steps")], ids=str)
def test_options_that_cannot_be_are_named(options, words, make):
    with pytest.raises(ScenarioError, match=words):
        make(**options)


@pytest.mark.parametrize("predicted", ["soft_token", "hidden"])
def test_a_few_drops_are_fitted(predicted, make, batch):
    predictor = make(predicted=predicted).train()
    optimizer = torch.optim.Adam([p for p in predictor.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = predictor.training_loss(batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def test_a_checkpoint_holds_no_language_model_and_restores_the_prediction(make):
    first, second, x = make(seed=0), make(seed=1), torch.randn(3, 6, 10)
    state = first.saved_state()
    assert not [name for name in state if "backbone" in name]
    assert "network.words" in state  # another machine may find another basis of nearly equal components
    assert not torch.allclose(second.network(x), first.network(x))
    second.load_state_dict(state, strict=False)
    assert torch.equal(second.network(x), first.network(x))
