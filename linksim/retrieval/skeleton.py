"""A walking figure of 15 joints: from angles over time to positions, and to features that do not know where it stands.

Axes of the body: x ahead, y to its left, z up; metres and radians.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

FRAME_RATE_HZ = 20
JOINTS = (
    "pelvis", "chest", "head", "left_shoulder", "left_elbow", "left_hand", "right_shoulder", "right_elbow",
    "right_hand", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle",
)
NUM_FEATURES = 3 * (len(JOINTS) - 1) + 4
SINGLE_TRACKS = ("speed", "turn_rate", "lift", "lean")
"""Along the way (m/s, backward below zero), about the vertical (rad/s, to the left), of the feet off the ground (m),
and of the trunk forward (rad)."""
SIDE_TRACKS = ("hip", "knee", "shoulder", "raise", "elbow")
"""Thigh forward, knee bent, upper arm forward, upper arm sideways, elbow bent; left and right."""


@dataclass(frozen=True)
class Body:
    """Lengths in metres."""

    thigh: float = 0.42
    shank: float = 0.42
    trunk: float = 0.50
    neck: float = 0.26
    upper_arm: float = 0.28
    forearm: float = 0.27
    half_shoulders: float = 0.19
    half_hips: float = 0.10

    def scaled(self, factor: float) -> Body:
        """All lengths times a factor."""
        return Body(**{name: factor * value for name, value in vars(self).items()})


@dataclass
class Tracks:
    """Angles and speeds over time, all zero (standing, arms hanging) at first.

    :param single: by name of `SINGLE_TRACKS`, each ``[frame]``.
    :param sides: by name of `SIDE_TRACKS`, each ``[side, frame]``, left first.
    """

    num_frames: int
    single: dict[str, np.ndarray] = field(init=False)
    sides: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.single = {name: np.zeros(self.num_frames) for name in SINGLE_TRACKS}
        self.sides = {name: np.zeros((2, self.num_frames)) for name in SIDE_TRACKS}


def joined(parts: list[Tracks], num_frames: int, smooth: int = 5) -> Tracks:
    """One after the other, then standing still to the end; changes are spread over some frames."""
    whole = Tracks(num_frames)
    kernel = np.hanning(smooth + 2)[1:-1] / np.hanning(smooth + 2).sum()
    for ours, theirs in ((whole.single, [part.single for part in parts]),
                         (whole.sides, [part.sides for part in parts])):
        for name, track in ours.items():
            course = np.concatenate([part[name] for part in theirs], -1)[..., :num_frames]
            track[..., :course.shape[-1]] = course
            ours[name] = np.apply_along_axis(np.convolve, -1, track, kernel, "same")
    return whole


def body_positions(tracks: Tracks, body: Body) -> np.ndarray:
    """Joints about the pelvis in the body's axes, ``[frame, joint, 3]``, whichever way it stands."""

    def along(angle: np.ndarray, sideways: np.ndarray | float = 0.0) -> np.ndarray:
        """Unit vectors of a limb that hangs, swung forward by an angle and sideways."""
        return np.stack(np.broadcast_arrays(np.sin(angle) * np.cos(sideways), np.sin(sideways),
                                            -np.cos(angle) * np.cos(sideways)), -1)

    lean = tracks.single["lean"]
    chest = -body.trunk * along(-lean)
    head = chest - body.neck * along(-lean)
    joints = [np.zeros_like(chest), chest, head]
    for side, sign in enumerate((1, -1)):
        shoulder, sideways, elbow = (tracks.sides[name][side] for name in ("shoulder", "raise", "elbow"))
        joint = chest + np.array([0, sign * body.half_shoulders, 0])
        middle = joint + body.upper_arm * along(shoulder, sign * sideways)
        joints += [joint, middle, middle + body.forearm * along(shoulder + elbow, sign * sideways)]
    for side, sign in enumerate((1, -1)):
        hip, knee = tracks.sides["hip"][side], tracks.sides["knee"][side]
        joint = np.broadcast_to(np.array([0, sign * body.half_hips, 0]), chest.shape)
        middle = joint + body.thigh * along(hip)
        joints += [joint, middle, middle + body.shank * along(hip - knee)]
    return np.stack(joints, 1)


def motion_features(tracks: Tracks, body: Body) -> np.ndarray:
    """``[frame, 46]`` float32: 14 joints about the pelvis in the body's axes, height of the pelvis above the ground,
    its velocity ahead and to the left (m/s), and the rate of turning (rad/s).

    The lower ankle stands on the ground unless the figure jumps.
    """
    positions = body_positions(tracks, body)
    ankles = positions[:, [JOINTS.index("left_ankle"), JOINTS.index("right_ankle")], 2]
    height = tracks.single["lift"] - ankles.min(1)
    root = np.stack([height, tracks.single["speed"], np.zeros_like(height), tracks.single["turn_rate"]], -1)
    return np.concatenate([positions[:, 1:].reshape(len(positions), -1), root], -1).astype(np.float32)
