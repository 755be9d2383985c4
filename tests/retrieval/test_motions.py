"""Motions are what their descriptions say, and the figure is made of rigid limbs on the ground."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linksim.retrieval import motions
from linksim.retrieval.actions import ACTIONS, FRAME_RATE_HZ, JOINTS, NUM_FEATURES, Body, Doing, Tracks, body_positions
from linksim.retrieval.motions import NUM_FRAMES, Motions, caption, draw_motions, perform

HEIGHT, SPEED, TURNING = -4, -3, -1


def seen(action, *manners, seed=0):
    return perform((Doing(action, manners),), seed).numpy()


def joint(features, name):
    return features[:, 3 * (JOINTS.index(name) - 1):3 * JOINTS.index(name)]


def test_limbs_keep_their_length_whatever_the_angles():
    tracks, body = Tracks(50), Body()
    rng = np.random.default_rng(0)
    for course in (*tracks.single.values(), *tracks.sides.values()):
        course[:] = rng.normal(size=course.shape)
    positions = body_positions(tracks, body)
    for side in ("left", "right"):
        for one, other, length in (("hip", "knee", body.thigh), ("knee", "ankle", body.shank),
                                   ("shoulder", "elbow", body.upper_arm), ("elbow", "hand", body.forearm)):
            ends = (positions[:, JOINTS.index(f"{side}_{end}")] for end in (one, other))
            np.testing.assert_allclose(np.linalg.norm(next(ends) - next(ends), axis=-1), length)


@pytest.mark.parametrize("action", ACTIONS)
def test_one_foot_is_on_the_ground_unless_in_the_air(action):
    features = seen(action, *(next(iter(choices)) for choices in ACTIONS[action].manners))
    assert features.shape == (NUM_FRAMES, NUM_FEATURES)
    lower = features[:, HEIGHT] + np.minimum(joint(features, "left_ankle")[:, 2], joint(features, "right_ankle")[:, 2])
    assert lower.min() > -1e-6
    assert (lower.max() > 0.01) == (action in ("jump", "run"))
    assert (lower.max() > 0.2) == (action == "jump")


def test_walking_goes_the_way_and_the_pace_said():
    way = {manners: seen("walk", *manners)[:, SPEED].sum() / FRAME_RATE_HZ
           for manners in (("forward", "slow"), ("forward", "fast"), ("backward", "normal"))}
    assert way["backward", "normal"] < 0 < 2 * way["forward", "slow"] < way["forward", "fast"]


@pytest.mark.parametrize(("action", "manners", "angle"), [
    ("turn", ("quarter", "left"), np.pi / 2), ("turn", ("half", "right"), -np.pi),
    ("circle", ("left", "slow"), 2 * np.pi), ("circle", ("right", "fast"), -2 * np.pi)])
def test_turns_are_as_wide_as_said(action, manners, angle):
    assert seen(action, *manners)[:, TURNING].sum() / FRAME_RATE_HZ == pytest.approx(angle, rel=0.12)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_limb_that_moves_is_the_one_said(side):
    other = {"left": "right", "right": "left"}[side]
    waving, kicking = seen("wave", side, "fast"), seen("kick", side, "2")
    assert joint(waving, f"{side}_hand")[:, 2].max() > 0.6 > 0 > joint(waving, f"{other}_hand")[:, 2].max()
    assert joint(kicking, f"{side}_ankle")[:, 0].max() > 0.5 > joint(kicking, f"{other}_ankle")[:, 0].max()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_jumps_and_squats_are_as_many_as_said(times):
    jumping, squatting = seen("jump", "up", str(times))[:, HEIGHT], seen("squat", str(times))[:, HEIGHT]
    stand = jumping[-1]
    assert (np.diff((jumping > stand + 0.1).astype(int)) == 1).sum() == times
    assert (np.diff((squatting < 0.8 * squatting[-1]).astype(int)) == 1).sum() == times


def test_a_motion_that_is_over_stands_still():
    features = seen("run", "fast")
    np.testing.assert_allclose(features[-5:], features[-1:].repeat(5, 0), atol=1e-6)
    assert not features[-1, SPEED:].any()


def test_captions_tell_all_actions_in_their_order():
    rng = np.random.default_rng(0)
    for motion in draw_motions(60, 0):
        text = caption(motion, rng)
        at = [max(text.find(f" {verb}") for verb in ACTIONS[doing.action].verbs) for doing in motion]
        assert -1 not in at
        assert at == sorted(at), text


def test_motions_differ_and_more_leave_the_first_as_they_are():
    several = draw_motions(300, 0)
    assert len(set(several)) == 300
    assert draw_motions(50, 0) == several[:50]
    assert not torch.equal(perform(several[0], 0), perform(several[0], 1))


def test_the_set_is_whole_and_made_once(check_set, monkeypatch):
    one = Motions(num_motions=20).load()
    check_set(one, "motion", (NUM_FRAMES, NUM_FEATURES))
    monkeypatch.setattr(motions, "perform", lambda *_: pytest.fail("made again"))
    again = Motions(num_motions=20).load()
    assert again.test.captions == one.test.captions
    assert torch.equal(again.test.features, one.test.features)
