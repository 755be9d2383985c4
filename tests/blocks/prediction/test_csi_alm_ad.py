"""CSI-ALM-AD teaches its Light student by attention relations of the same tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.csi_alm_light import relation_loss
from linksim.blocks.prediction.learned import ProblemShape, TrainingBatch
from linksim.core.errors import ScenarioError
from linksim.core.registry import create

SMALL = {"num_delays": 24, "num_dopplers": 8, "frequency_rank": 12, "width": 16, "num_tokens": 10, "hidden_size": 8,
         "feedforward_width": 24}


def made(name, **options):
    torch.manual_seed(0)
    block = create("predictor", name, {**SMALL, **options})
    block.prepare(ProblemShape(16, 4, 12, 0.1))
    return block.train()


@pytest.fixture
def teacher(tiny_language_model):
    return made("csi_alm_ad", backbone=tiny_language_model, weights="random", num_layers=2, num_words=9, num_anchors=6,
                num_heads=4)


@pytest.fixture
def student():
    return made("csi_alm_ad_light", num_layers=2, num_relation_heads=4, distillation_weight=0.5)


@pytest.fixture(scope="module")
def batch(few_paths, split):
    history, future = split(few_paths(num_paths=6, batch=2), 0.016, seed=1)
    return TrainingBatch(history, future, future)


def test_the_loss_rewards_alignment(teacher, batch):
    batch = replace(batch, prepared=teacher.prepared(batch))
    with torch.no_grad():
        rewarded = teacher.training_loss(batch)
        teacher.alignment_weight = 0.0
        alone = teacher.training_loss(batch)
    assert 0 < float(alone - rewarded) <= 0.01  # a cosine of at most one, times lambda_1


def test_a_lesson_adds_the_weighed_divergence_of_last_layers_and_leaves_the_teacher_alone(teacher, student, batch):
    states = student.prepared(batch)
    batch = replace(batch, prepared=states)
    alone = student.training_loss(batch)
    student.learn_from(teacher)
    taught = student.training_loss(batch)
    losses = []
    for state in (state for of_drop in states for _, state in of_drop):
        where = (state, batch.history.panel, 12 * 180e3)
        text = teacher.network.mixer.prompted(teacher.network.tokens(*where)[1])[0]
        own = student.network.mixer(student.network.tokens(*where)[1])[1]
        losses.append(relation_loss(teacher.network.mixer.backbone.forward_with_attention(text)[1], own, 4))
    torch.testing.assert_close(taught - alone, 0.5 * torch.stack(losses).mean(), rtol=1e-3, atol=1e-4)
    taught.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not teacher.training
    assert not any(name.startswith("_teacher") or "backbone" in name for name in student.saved_state())


def test_teacher_and_student_read_the_same_beams_and_delays(teacher, student, batch):
    state = student.prepared(batch)[0][0][1]
    indices = [block.network.tokens(state, batch.history.panel, 2e6)[2] for block in (teacher, student)]
    assert torch.equal(*indices)
    strength = state.power.sum(2).flatten(1).take_along_dim(indices[0], 1)
    assert (strength.diff(dim=-1) <= 0).all()  # the strongest first


@pytest.mark.parametrize("options", [{"num_tokens": 9}, {"num_iterations": 1}, {"num_prompts": 3},
                                     {"num_relation_heads": 3}], ids=str)
def test_a_student_that_cannot_follow_is_refused(options, teacher):
    student = made("csi_alm_ad_light", **{"num_relation_heads": 4, **options})
    with pytest.raises(ScenarioError, match=r"equal|as many|divide"):
        student.learn_from(teacher)


def test_it_learns_from_its_teacher_alone(student):
    with pytest.raises(ScenarioError, match="learns from csi_alm_ad alone"):
        student.learn_from(student)


def test_a_checkpoint_holds_no_frozen_weight(teacher):
    state = teacher.saved_state()
    assert [name for name in state if "backbone" in name and ".lora_" not in name] == []
    assert "network.mixer.text.words" in state
