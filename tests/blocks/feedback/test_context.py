"""Contexts: the decoder's, one coefficient at a time, are the encoder's; and they are worth bits."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback.context import NUM_CONTEXTS, ContextCodec, contexts_of, delay_classes
from linksim.blocks.feedback.learned import FeedbackShape
from linksim.blocks.feedback.topm import TopMCodec
from linksim.metrics import nmse


@pytest.fixture(scope="module")
def codec(plane_waves):
    training = plane_waves(batch=100, ue_ant=1, seed=9)
    codec = ContextCodec(bits=200)
    codec.prepare(FeedbackShape.of(training))
    codec.observe(training, validation=False)
    codec.solve()
    return codec


def test_a_context_knows_only_what_was_written_before():
    magnitude = torch.randint(0, 4, (5, 6, 2), generator=torch.Generator().manual_seed(0))
    plain = contexts_of(magnitude)
    assert 0 <= int(plain.min())
    assert int(plain.max()) < NUM_CONTEXTS
    for position in range(magnitude.numel()):
        changed = magnitude.clone()
        changed.view(-1)[position] += 3
        same = contexts_of(changed).flatten()[:position + 1]
        assert torch.equal(same, plain.flatten()[:position + 1])


def test_classes_of_delay_are_octaves_with_one_for_delays_below_zero():
    classes = delay_classes(80).tolist()
    assert classes[:5] == [0, 1, 1, 2, 2]
    assert classes[-3:] == [6, 11, 11]


def test_contexts_are_worth_more_than_positions(codec, plane_waves):
    csi = plane_waves(batch=10, ue_ant=1, seed=3)
    errors = [float(nmse(one.decode(one.encode(csi)).h, csi.h)) for one in (codec, TopMCodec(bits=200))]
    assert errors[0] < 0.9 * errors[1]
