"""What the figure does: each action as angles over time, with the words for it and for its manners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from linksim.retrieval.skeleton import FRAME_RATE_HZ, Tracks

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
