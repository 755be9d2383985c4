"""CSI-ALM-Light: published size, and distillation that pulls the student's relations to the teacher's."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.attention_relations import log_relations, relation_loss
from linksim.blocks.prediction.trained import ProblemShape
from linksim.errors import ScenarioError
from linksim.registry import create


def test_published_number_of_parameters():
    predictor = create("predictor", "csi_alm_light")
    predictor.prepare(ProblemShape(16, 4, 48, 0.1))
    assert sum(p.numel() for p in predictor.parameters()) == pytest.approx(0.349e6, rel=0.002)


def test_no_batch_neighbours_and_every_parameter_learns():
    torch.manual_seed(0)
    predictor = create("predictor", "csi_alm_light", {"width": 16, "num_relation_heads": 4})
    predictor.prepare(ProblemShape(5, 2, 3, 0.1))
    x = torch.randn(4, 5, 6)
    y = predictor.network(x)
    torch.testing.assert_close(predictor.network(x[1:2]), y[1:2])
    y.square().sum().backward()
    assert all(parameter.grad is not None for parameter in predictor.parameters())


def test_layers_tell_the_order_of_samples():
    """Of layers without positions a reversed history would be the reversed tokens."""
    torch.manual_seed(0)
    predictor = create("predictor", "csi_alm_light", {"width": 16, "num_relation_heads": 4})
    predictor.prepare(ProblemShape(5, 2, 3, 0.1))
    x = torch.randn(4, 5, 6)
    forward, backward = (predictor.network.with_attention(history)[1][0] for history in (x, x.flip(1)))
    assert not torch.allclose(forward[:, 4:], backward[:, 4:].flip(1), atol=0.01)


def test_relations_are_distributions_and_equal_ones_cost_nothing():
    vectors = torch.randn(2, 5, 12)
    relations = log_relations(vectors, 3).exp()
    torch.testing.assert_close(relations.sum(-1), torch.ones(2, 3, 5))
    same = (vectors, vectors, vectors)
    torch.testing.assert_close(relation_loss(same, same, 3), torch.tensor(0.0), atol=1e-6, rtol=0)
    assert relation_loss(same, (torch.randn(2, 5, 6),) * 3, 3) > 0


def test_relations_of_one_head_are_the_attention_that_the_paper_names():
    """With as many relation heads as heads, Q-Q relations of equal queries and keys are the attention weights."""
    vectors = torch.randn(1, 4, 8)
    heads = vectors.unflatten(-1, (2, 4)).transpose(1, 2)
    weights = (heads @ heads.mT / 2).softmax(-1)
    torch.testing.assert_close(log_relations(vectors, 2).exp(), weights)


def test_a_student_of_another_width_can_follow_its_teacher():
    torch.manual_seed(0)
    teacher = tuple(torch.randn(6, 5, 24) for _ in range(3))
    student = [torch.randn(6, 5, 16, requires_grad=True) for _ in range(3)]
    optimizer = torch.optim.Adam(student, 0.05)
    first = relation_loss(teacher, tuple(student), 4)
    for _ in range(150):
        optimizer.zero_grad()
        loss = relation_loss(teacher, tuple(student), 4)
        loss.backward()
        optimizer.step()
    assert loss < 0.05 * first


def test_a_width_that_does_not_divide_is_one_line():
    with pytest.raises(ScenarioError, match="width of 10 does not divide into 4 heads"):
        log_relations(torch.randn(1, 2, 10), 4)
