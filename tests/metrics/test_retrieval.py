"""Average precision and Rank@K against examples worked by hand."""

import pytest
import torch

from linksim.metrics.retrieval import retrieval_measures


def test_examples_worked_by_hand():
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5], [0.9, 0.8, 0.7, 0.6, 0.5]])
    relevant = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1]]).bool()
    measures = retrieval_measures(scores, relevant)
    # hits at places 1 and 3: (1/1 + 2/3) / 2; at place 5: 1/5
    torch.testing.assert_close(measures["map"], torch.tensor([(1 + 2 / 3) / 2, 0.2]))
    assert measures["rank1"].tolist() == [1, 0]
    assert measures["rank5"].tolist() == [1, 1]
    assert "rank10" not in measures


def test_a_perfect_ranking_scores_one_and_the_reversed_one_least():
    relevant = torch.zeros(1, 12).bool()
    relevant[0, 3:6] = True
    best = retrieval_measures(relevant.float(), relevant)
    assert all(value.item() == 1 for value in best.values())
    worst = retrieval_measures(-relevant.float(), relevant)
    assert worst["map"].item() == pytest.approx((1 / 10 + 2 / 11 + 3 / 12) / 3)


def test_equal_scores_earn_nothing_by_their_order():
    relevant = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 1]]).bool()
    measures = retrieval_measures(torch.zeros(2, 4), relevant)
    torch.testing.assert_close(measures["map"], torch.full((2,), 0.25))
    assert measures["rank1"].sum() == 0


def test_the_order_of_the_gallery_does_not_matter():
    scores = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    relevant = torch.rand(8, 30, generator=torch.Generator().manual_seed(1)) < 0.2
    relevant[:, 0] = True
    order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    here, there = retrieval_measures(scores, relevant), retrieval_measures(scores[:, order], relevant[:, order])
    for name, values in here.items():
        torch.testing.assert_close(values, there[name])


def test_a_query_without_a_relevant_item_is_refused():
    with pytest.raises(ValueError, match="no relevant item"):
        retrieval_measures(torch.zeros(1, 3), torch.zeros(1, 3).bool())
