"""The dictionary: principal words are the PCA they claim to be, a shuffled dictionary is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linksim.backbone.model import principal_words, shuffled
from linksim.core.errors import ScenarioError


@pytest.fixture
def words():
    """Correlated and with a common direction, as word embeddings are: ``[vocabulary, width]``."""
    stream = torch.Generator().manual_seed(0)
    mixing = torch.randn(40, 40, generator=stream) * torch.linspace(1, 0.1, 40)[:, None]
    return torch.randn(500, 40, generator=stream) @ mixing + torch.randn(40, generator=stream)


def test_principal_words_are_the_scores_of_a_pca_with_words_as_variables(own_cache, words):
    observations = words.T.double().numpy()
    centred = observations - observations.mean(0)
    left, singular_values, _ = np.linalg.svd(centred, full_matrices=False)
    expected = (left * singular_values).T[:10]
    found = principal_words(words, 10).double().numpy()
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert abs(cosine) == pytest.approx(np.ones(10), abs=1e-6)
    ratio = np.linalg.norm(found, axis=1) / singular_values[:10]
    assert ratio == pytest.approx(np.full(10, ratio[0]), rel=1e-5)


def test_principal_words_are_orthogonal_as_large_as_words_and_of_one_sign(own_cache, words):
    found = principal_words(words, 39)
    gram = found @ found.T
    assert torch.allclose(gram, gram.diag().diag(), atol=1e-3 * float(gram[0, 0]))
    assert float(found.square().mean()) == pytest.approx(float(words.square().mean()), rel=1e-5)
    assert (found.amax(-1) >= -found.amin(-1)).all()


def test_principal_words_are_computed_once(own_cache, words, monkeypatch):
    first = principal_words(words, 5)
    monkeypatch.setattr("linksim.backbone.model._components", None)
    assert principal_words(words, 5).equal(first)
    with pytest.raises(TypeError):  # other words, another computation
        principal_words(words + 1, 5)


def test_principal_words_are_at_most_as_many_as_there_are(own_cache, words):
    with pytest.raises(ScenarioError, match=r"1 to 39 can be had of embeddings that are 40 wide \(given 40\)"):
        principal_words(words, 40)


def test_shuffling_keeps_every_word_s_values_and_no_similarity(words):
    mixed = shuffled(words, 0)
    assert mixed.sort(-1).values.equal(words.sort(-1).values)

    def similarities(dictionary):
        unit = torch.nn.functional.normalize(dictionary - dictionary.mean(-1, keepdim=True), dim=-1)
        return float((unit @ unit.T - torch.eye(len(unit))).abs().mean())

    unrelated = similarities(torch.randn(words.shape, generator=torch.Generator().manual_seed(5)))
    assert similarities(words) > 1.5 * unrelated
    assert similarities(mixed) == pytest.approx(unrelated, rel=0.02)
