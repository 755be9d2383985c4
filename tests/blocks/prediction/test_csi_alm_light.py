"""CSI-ALM-Light: published size, and distillation that pulls the student's relations to the teacher's."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.csi_alm_light import log_relations, relation_loss
from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch
from linksim.blocks.prediction.sequences import to_sequences
from linksim.core.errors import ScenarioError
from linksim.core.registry import create


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


def test_layers_tell_the_order_of_patches():
    """Of layers without positions, patches in another order would be the tokens in that order."""
    torch.manual_seed(0)
    predictor = create("predictor", "csi_alm_light", {"width": 16, "num_relation_heads": 4, "patch_size": 2})
    predictor.prepare(ProblemShape(6, 2, 3, 0.1))
    torch.nn.init.normal_(predictor.network.positions)  # as they become
    x = torch.randn(4, 6, 6)
    swapped = x.unflatten(1, (3, 2)).flip(1).flatten(1, 2)
    forward, backward = (predictor.network.with_attention(history)[1][0] for history in (x, swapped))
    assert not torch.allclose(forward[:, 4:], backward[:, 4:].flip(1), atol=0.01)


@pytest.mark.parametrize("num_history", [5, 8])
def test_a_patch_that_is_not_full_ends_with_zeros(num_history):
    torch.manual_seed(0)
    network, filled = (create("predictor", "csi_alm_light", {"width": 16, "num_relation_heads": 4}) for _ in range(2))
    network.prepare(ProblemShape(num_history, 2, 3, 0.1))
    filled.prepare(ProblemShape(8, 2, 3, 0.1))
    filled.load_state_dict(network.state_dict())
    x = torch.randn(4, num_history, 6)
    zeros = torch.zeros(4, 8 - num_history, 6)
    torch.testing.assert_close(network.network(x), filled.network(torch.cat([x, zeros], 1)))


def test_relations_are_distributions_and_equal_ones_cost_nothing():
    vectors = torch.randn(2, 5, 12)
    relations = log_relations(vectors, 3).exp()
    torch.testing.assert_close(relations.sum(-1), torch.ones(2, 3, 5))
    same = (vectors, vectors, vectors)
    torch.testing.assert_close(relation_loss(same, same, 3), torch.tensor(0.0), atol=1e-6, rtol=0)
    assert relation_loss(same, (torch.randn(2, 5, 6),) * 3, 3) > 0


def test_the_divergence_is_the_teacher_s_from_the_student_s():
    """KL(teacher || student) as torch has it, and not the other way round."""
    torch.manual_seed(0)
    teacher, student = (tuple(torch.randn(2, 5, width) for _ in range(3)) for width in (24, 16))
    expected = sum(
        torch.nn.functional.kl_div(log_relations(found, 4), log_relations(target, 4), log_target=True, reduction="none")
        .sum(-1).mean() for target, found in zip(teacher, student, strict=True))
    torch.testing.assert_close(relation_loss(teacher, student, 4), expected)
    assert abs(float(relation_loss(student, teacher, 4) - expected)) > 1e-3


def test_a_relation_is_of_queries_with_queries_keys_with_keys_and_values_with_values():
    torch.manual_seed(0)
    parts = tuple(torch.randn(2, 5, 16) for _ in range(3))
    assert float(relation_loss(parts, parts[1:] + parts[:1], 4)) > 0.1
    turned = tuple(part @ torch.linalg.qr(torch.randn(16, 16))[0] for part in parts)  # relations of one head stay
    torch.testing.assert_close(relation_loss(parts, turned, 1), torch.tensor(0.0), atol=1e-4, rtol=0)


def test_relations_of_one_head_are_the_attention_that_the_paper_names():
    """With as many relation heads as heads, Q-Q relations of equal queries and keys are the attention weights."""
    vectors = torch.randn(1, 4, 8)
    heads = vectors.unflatten(-1, (2, 4)).transpose(1, 2)
    weights = (heads @ heads.mT / 2).softmax(-1)
    torch.testing.assert_close(log_relations(vectors, 2).exp(), weights)


@pytest.fixture
def lesson(tiny_language_model, few_paths, split):
    """A student, its teacher and a batch."""
    history, future = split(few_paths(5, batch=2), 0.016, seed=1)
    shape = ProblemShape(16, 4, 5, 0.1)
    torch.manual_seed(0)
    teacher = create("predictor", "csi_alm", {"backbone": tiny_language_model, "weights": "random", "num_layers": 2,
                                              "num_words": 9, "num_anchors": 6, "num_heads": 4})
    student = create("predictor", "csi_alm_light", {"width": 8, "num_relation_heads": 4, "distillation_weight": 0.5})
    teacher.prepare(shape)
    student.prepare(shape)
    return student, teacher, TrainingBatch(history, future, future)


def test_a_lesson_adds_the_weighed_divergence_of_last_layers_and_leaves_the_teacher_alone(lesson):
    student, teacher, batch = lesson
    alone = student.training_loss(batch)
    student.learn_from(teacher)
    taught = student.training_loss(batch)
    x = to_sequences(batch.history)[0]
    queries, keys, values = teacher.network.backbone.forward_with_attention(teacher.network.tokens(x)[0])[1]
    own = student.network.with_attention(x)[1]
    for part in (queries, keys, values, *own):
        assert part.shape[:2] == (len(x), 4 + 4)  # prompts of both stand before the patches
    torch.testing.assert_close(taught - alone, 0.5 * relation_loss((queries, keys, values), own, 4))  # (32)
    taught.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not teacher.training
    assert not any(name.startswith("_teacher") or "backbone" in name for name in student.saved_state())


def test_tokens_of_teacher_and_student_are_the_same_patches(lesson):
    """Another last sample changes the last token of both, and under the causal teacher no other's attention."""
    student, teacher, batch = lesson
    x = to_sequences(batch.history)[0]
    with torch.no_grad():
        tokens = teacher.network.tokens(x)[0]
        other = tokens.clone()
        other[:, -1] += 1
        before, after = (teacher.network.backbone.forward_with_attention(part)[1].values for part in (tokens, other))
        changed = (before != after).any(-1)
        assert changed[:, -1].all()
        assert not changed[:, :-1].any()
        embedded = student.network.tokens(x)
        x[:, -1] += 1
        embedded = student.network.tokens(x) - embedded
    assert embedded[:, -1].any(-1).all()
    assert not embedded[:, :-1].any()


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
