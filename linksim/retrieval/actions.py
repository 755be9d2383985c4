"""A figure of 15 joints, and the actions that it can do: how it moves, and in which words that is told."""

from __future__ import annotations

from collections.abc import Callable
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


Words = dict[str, tuple[str, ...]]
_SIDES = {"left": 0, "right": 1}
_LONGEST_S = 1.2
"""Longest duration of one jump, kick, squat, …"""


@dataclass(frozen=True)
class Doing:
    """One action of a motion.

    :param action: key of `ACTIONS`.
    :param manners: one choice of each of the action's manners, in their order.
    """

    action: str
    manners: tuple[str, ...]


@dataclass(frozen=True)
class Action:
    """A family of movements.

    :param move: writes into tracks, given the manners and a random stream.
    :param verbs: what a person does, third person.
    :param manners: choices with words, put behind the verb; an empty text says nothing.
    """

    move: Callable[[Tracks, tuple[str, ...], np.random.Generator], None]
    verbs: tuple[str, ...]
    manners: tuple[Words, ...]


def _repeated(tracks: Tracks, times: int) -> np.ndarray:
    """From 0 to ``times``, one after the other; where there is time left, the figure waits."""
    frames_each = min(tracks.num_frames / times, _LONGEST_S * FRAME_RATE_HZ)
    return np.minimum(np.arange(tracks.num_frames) / frames_each, times)


def _pulses(tracks: Tracks, times: int) -> np.ndarray:
    """Up and down again, ``times`` times, between 0 and 1."""
    return np.sin(np.pi * _repeated(tracks, times)) ** 2


def _vary(value: float, rng: np.random.Generator) -> float:
    return value * (1 + 0.1 * rng.uniform(-1, 1))


def _gait(tracks: Tracks, speed: float, swing: float, knees: float, arms: float, rng: np.random.Generator) -> None:
    """Legs and arms in opposite phase; the faster, the quicker the steps."""
    tracks.single["speed"][:] = speed
    steps_hz = 0.55 + 0.42 * abs(speed) ** 0.7
    phase = 2 * np.pi * steps_hz * np.arange(tracks.num_frames) / FRAME_RATE_HZ * np.sign(speed) + rng.uniform(0, 6)
    for side, offset in enumerate((0, np.pi)):
        tracks.sides["hip"][side] = swing * np.sin(phase + offset)
        tracks.sides["knee"][side] = knees * np.maximum(0, np.cos(phase + offset)) + 0.1
        tracks.sides["shoulder"][side] = -arms * np.sin(phase + offset)


def _walk(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    direction, pace = manners
    speed = _vary({"slow": 0.6, "normal": 1.2, "fast": 1.9}[pace], rng) * (1 if direction == "forward" else -1)
    _gait(tracks, speed, _vary(0.25 + 0.13 * abs(speed), rng), 0.6, 0.2 + 0.15 * abs(speed), rng)


def _run(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    speed = _vary({"slow": 2.4, "fast": 3.8}[manners[0]], rng)
    _gait(tracks, speed, _vary(0.35 + 0.12 * speed, rng), 1.5, 0.8, rng)
    tracks.sides["elbow"][:] = 1.5
    tracks.single["lean"][:] = 0.05 * speed
    tracks.single["lift"][:] = 0.06 * np.abs(tracks.sides["hip"][0])


def _circle(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    direction, pace = manners
    _gait(tracks, _vary({"slow": 0.8, "fast": 1.7}[pace], rng), 0.4, 0.6, 0.3, rng)
    whole = 2 * np.pi * FRAME_RATE_HZ / tracks.num_frames
    tracks.single["turn_rate"][:] = _vary(whole, rng) * (1 if direction == "left" else -1)


def _turn(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    amount, direction = manners
    _gait(tracks, 0.05, 0.12, 0.35, 0.1, rng)
    tracks.single["speed"][:] = 0
    angle = _vary({"quarter": np.pi / 2, "half": np.pi}[amount], rng) * (1 if direction == "left" else -1)
    course = np.sin(np.pi * np.arange(tracks.num_frames) / tracks.num_frames) ** 2
    tracks.single["turn_rate"][:] = angle * FRAME_RATE_HZ * course / course.sum()


def _jump(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    direction, times = manners
    course = np.sin(2 * np.pi * _repeated(tracks, int(times)))  # first down, then up
    crouch, flight = np.maximum(0, course), np.maximum(0, -course)
    tracks.sides["hip"][:] = 0.9 * crouch
    tracks.sides["knee"][:] = 1.6 * crouch
    tracks.sides["shoulder"][:] = -0.6 * crouch + 1.8 * flight
    tracks.single["lift"][:] = _vary(0.35, rng) * flight
    tracks.single["lean"][:] = 0.3 * crouch
    if direction == "forward":
        tracks.single["speed"][:] = _vary(1.6, rng) * flight


def _wave(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    hand, pace = manners
    seconds = np.arange(tracks.num_frames) / FRAME_RATE_HZ
    swing = np.sin(2 * np.pi * _vary({"slow": 1.0, "fast": 2.5}[pace], rng) * seconds)
    for side in (0, 1) if hand == "both" else (_SIDES[hand],):
        tracks.sides["raise"][side] = _vary(2.2, rng) + 0.5 * swing
        tracks.sides["elbow"][side] = 0.3


def _kick(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    foot, times = manners
    side, course = _SIDES[foot], _pulses(tracks, int(times))
    tracks.sides["hip"][side] = _vary(1.4, rng) * course
    tracks.sides["knee"][side] = 0.9 * course * (1 - course) * 4 * 0.6
    tracks.sides["shoulder"][1 - side] = 0.6 * course
    tracks.single["lean"][:] = -0.15 * course


def _squat(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    course = _pulses(tracks, int(manners[0]))
    tracks.sides["hip"][:] = _vary(1.5, rng) * course
    tracks.sides["knee"][:] = _vary(2.2, rng) * course
    tracks.sides["shoulder"][:] = 1.4 * course
    tracks.single["lean"][:] = 0.4 * course


def _bow(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    depth, times = manners
    tracks.single["lean"][:] = _vary({"slight": 0.45, "deep": 1.3}[depth], rng) * _pulses(tracks, int(times))


def _throw(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    hand, times = manners
    phase = np.modf(_repeated(tracks, int(times)))[0]
    side = _SIDES[hand]
    tracks.sides["shoulder"][side] = np.interp(phase, [0, 0.45, 0.65, 1], [0, -1.2, _vary(2.4, rng), 0])
    tracks.sides["elbow"][side] = np.interp(phase, [0, 0.45, 0.65, 1], [0, 1.6, 0.2, 0])
    tracks.single["lean"][:] = np.interp(phase, [0, 0.45, 0.65, 1], [0, -0.15, 0.35, 0])


def _clap(tracks: Tracks, manners: tuple[str, ...], rng: np.random.Generator) -> None:
    where, times = manners
    course = _pulses(tracks, 2 * int(times))
    tracks.sides["shoulder"][:] = {"low": 1.1, "high": 2.7}[where]
    tracks.sides["raise"][:] = 0.7 * (1 - course) - 0.25
    tracks.sides["elbow"][:] = 0.3


_PACE: Words = {"slow": ("slowly", "at a slow pace"), "fast": ("fast", "quickly", "at a fast pace")}
_TIMES: Words = {"1": ("", "once"), "2": ("twice", "two times"), "3": ("three times",)}
_ONCE_OR_TWICE: Words = {key: _TIMES[key] for key in ("1", "2")}
_HAND: Words = {side: (f"with the {side} hand", f"using the {side} arm") for side in _SIDES}

ACTIONS = {
    "walk": Action(_walk, ("walks", "strolls", "goes on foot"), (
        {"forward": ("forward", "", "ahead"), "backward": ("backward", "backwards")}, {**_PACE, "normal": ("",)})),
    "run": Action(_run, ("runs", "jogs"), (_PACE,)),
    "circle": Action(_circle, ("walks in a circle", "goes around in a circle"), (
        {"left": ("to the left", "counterclockwise"), "right": ("to the right", "clockwise")}, _PACE)),
    "turn": Action(_turn, ("turns", "rotates"), (
        {"quarter": ("by a quarter", "by ninety degrees"), "half": ("around", "by half a turn")},
        {"left": ("to the left", "left"), "right": ("to the right", "right")})),
    "jump": Action(_jump, ("jumps", "hops", "leaps"), (
        {"up": ("up", "into the air", "in place"), "forward": ("forward", "ahead")}, _TIMES)),
    "wave": Action(_wave, ("waves", "greets"), (
        {**_HAND, "both": ("with both hands", "using both arms")}, _PACE)),
    "kick": Action(_kick, ("kicks", "gives a kick"), (
        {side: (f"with the {side} foot", f"with the {side} leg") for side in _SIDES}, _TIMES)),
    "squat": Action(_squat, ("squats", "does squats", "bends the knees"), (_TIMES,)),
    "bow": Action(_bow, ("bows", "bends forward", "takes a bow"), (
        {"slight": ("slightly", "a little"), "deep": ("deeply", "down low")}, _ONCE_OR_TWICE)),
    "throw": Action(_throw, ("throws something", "throws a ball", "makes a throw"), (_HAND, _ONCE_OR_TWICE)),
    "clap": Action(_clap, ("claps", "claps hands"), (
        {"low": ("in front of the chest", "in front"), "high": ("above the head", "overhead")}, _TIMES)),
}
