"""The one pipeline of training drops: drawn on the fly, from streams that no test drop comes from."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from sionna.phy import SPEED_OF_LIGHT

from linksim.blocks.prediction.trained import ProblemShape, TrainingBatch
from linksim.channel.drops import draw_drops
from linksim.link.acquisition import acquire
from linksim.scenario.load import point_scenario, sweep_points
from linksim.scenario.schema import Acquisition, Channel, Scenario
from linksim.seeding import generator, stream_seed

CHUNK = 25
"""Training drops per chunk; part of the stream's identity."""


def training_conditions(scenario: Scenario) -> list[tuple[Channel, Acquisition]]:
    """What a scenario's blocks are trained on: every channel and acquisition it sweeps, one user per drop.

    ``training.speeds_kmh`` replaces the scenario's speeds where given.
    """
    points = [point_scenario(scenario, point) for point in sweep_points(scenario)]
    speeds = scenario.training.speeds_kmh
    found: dict[tuple[Channel, Acquisition], None] = {}
    for point in points:
        for speed in speeds or [point.channel.speed_kmh]:
            channel = point.channel.model_copy(update={"num_users": 1, "speed_kmh": speed})
            # pilots of one user alone would be denser than in the test
            users = point.channel.num_users if point.acquisition.type == "pilots" else 1
            found[channel.model_copy(update={"num_users": users}), point.acquisition] = None
    return list(found)


def problem_shape(scenario: Scenario) -> ProblemShape:
    """Sizes that the scenario's trained blocks are made for."""
    channel = scenario.channel
    cycles = max(
        c.speed_kmh / 3.6 * c.carrier_frequency_ghz * 1e9 / SPEED_OF_LIGHT * c.csi_period_ms * 1e-3
        for c, _ in training_conditions(scenario)
    )
    return ProblemShape(channel.num_history, channel.num_future, channel.num_subcarriers, cycles)


def num_chunks(scenario: Scenario) -> int:
    """Chunks of training and validation drops; at least ten for each condition."""
    return max(-(-scenario.training.num_drops // CHUNK), 10 * len(training_conditions(scenario)))


def training_batches(scenario: Scenario, device: str = "cpu") -> Iterator[tuple[TrainingBatch, bool]]:
    """Chunks of training drops in turn over all conditions; every fifth chunk is for validation.

    :returns: batch, and whether it is for validation.
    """
    conditions = training_conditions(scenario)
    for chunk in range(num_chunks(scenario)):
        # a fifth of the chunks is drawn again over the conditions, so that validation sees all of them
        validation = chunk % 5 == 4
        channel, acquisition = conditions[(chunk // 5 if validation else chunk - chunk // 5) % len(conditions)]
        seed = stream_seed(scenario.training.seed, "training", channel.model_dump(mode="json"), chunk)
        drops = draw_drops(channel, CHUNK, seed, device)
        with torch.inference_mode():
            history, _ = acquire(drops.history, acquisition, generator(stream_seed(seed, "acquisition")))
            yield TrainingBatch(history, drops.future, drops.response(drops.future.time_s)), validation
