"""CSI-ALM's alignment with the dictionary and its prompts, equation by equation."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.alignment import CrossModalAlignment, PromptedText
from linksim.core.errors import ScenarioError


class Words:
    """40 words of width 16, without a language model."""

    width = 16

    def principal_words(self, count):
        return torch.randn(count, 16, generator=torch.Generator().manual_seed(1))


def prompted(num_prompts=2, **changes):
    torch.manual_seed(0)
    sizes = {"num_words": 12, "num_anchors": 7, "num_heads": 4, "feedforward_width": 24, **changes}
    return PromptedText(Words(), num_prompts=num_prompts, **sizes).eval()


def test_alignment_is_the_paper_s_equations():
    """(15) to (18) token by token and head by head: softmax over words, scale the root of a head's width."""
    torch.manual_seed(0)
    alignment = CrossModalAlignment(16, 2, 24)
    tokens, words = torch.randn(3, 6, 16), torch.randn(9, 16)
    aligned = alignment(tokens, words)
    time = alignment.self_attention(tokens)
    keys, values = words @ alignment.key.weight.T, words @ alignment.value.weight.T
    for sequence in range(3):
        for token in range(6):
            query = alignment.query.weight @ time[sequence, token]
            heads = []
            for part in (slice(8), slice(8, 16)):
                weights = torch.stack([(query[part] @ key / 8**0.5).exp() for key in keys[:, part]])
                heads.append((weights[:, None] * values[:, part]).sum(0) / weights.sum())
            cross = alignment.joined(torch.cat(heads))
            gate = alignment.gate(torch.cat([cross, time[sequence, token]])).sigmoid()
            expected = cross * gate + time[sequence, token] * (1 - gate)
            torch.testing.assert_close(aligned[sequence, token], expected)


def test_untrained_alignment_remembers_which_token_is_which():
    """Without a path around (13) every token would be nearly the mean of all until it has learned to look."""
    torch.manual_seed(0)
    alignment, words = CrossModalAlignment(64, 8, 128), 0.136 * torch.randn(20, 64)
    tokens = torch.nn.Linear(96, 64)(torch.randn(200, 16, 96))
    with torch.no_grad():
        aligned = alignment(tokens, words)
    before, after = (x.std(1).mean() / x.std(0).mean() for x in (tokens, aligned))  # over tokens, over sequences
    assert before > 0.9
    assert after > 0.8


def test_the_gate_mixes_words_and_time():
    torch.manual_seed(0)
    alignment = CrossModalAlignment(16, 4, 24)
    tokens, words = torch.randn(3, 6, 16), torch.randn(9, 16)
    with torch.no_grad():
        alignment.gate.weight.zero_()
        alignment.gate.bias.fill_(-100.0)  # time alone
        torch.testing.assert_close(alignment(tokens, words), alignment.self_attention(tokens))
        alignment.gate.bias.fill_(100.0)  # words alone: nothing that the tokens have and the words have not
        alignment.value.weight.zero_()
        torch.testing.assert_close(alignment(tokens, words), alignment.joined.bias.expand(3, 6, -1))


def test_prompts_are_the_anchors_nearest_to_the_tokens():
    text = prompted()
    tokens, cosine = text(torch.randn(5, 6, 16))
    assert tokens.shape == (5, 2 + 6, 16)
    anchors = text.to_anchors(text.words.mT).mT
    scores = torch.nn.functional.cosine_similarity(tokens[:, 2:, None], anchors, dim=-1).mean(1)
    best = scores.topk(2, -1)
    torch.testing.assert_close(tokens[:, :2], anchors[best.indices])
    torch.testing.assert_close(cosine, best.values.mean(-1))


def test_prompts_of_one_token_are_the_anchors_of_the_highest_cosine_in_order():
    """Equation (20) as printed, where a history is one token: every anchor looked at by itself."""
    text = prompted(num_prompts=3)
    with torch.no_grad():
        tokens, cosine = text(torch.randn(4, 1, 16))
        anchors = text.to_anchors(text.words.mT).mT
    for prompts, token, mean in zip(tokens[:, :3], tokens[:, 3], cosine, strict=True):
        scores = [float(token @ anchor / (token.norm() * anchor.norm())) for anchor in anchors]
        order = sorted(range(7), key=lambda index: -scores[index])[:3]
        torch.testing.assert_close(prompts, anchors[order])
        assert float(mean) == pytest.approx(sum(scores[index] for index in order) / 3, abs=1e-5)  # (31)


def test_anchors_are_learnt_mixtures_of_the_principal_words():
    text = prompted()
    anchors = text.to_anchors(text.words.mT).mT  # (19)
    torch.testing.assert_close(anchors, text.to_anchors.weight @ text.words)
    text(torch.randn(5, 6, 16))[0].square().sum().backward()
    assert text.to_anchors.weight.grad.any()


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ScenarioError, match="width 16 is no multiple of num_heads 3"):
        prompted(num_heads=3)
