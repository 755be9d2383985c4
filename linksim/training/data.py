"""The one pipeline of training drops: drawn on the fly, from streams that no test drop comes from."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from sionna.phy import SPEED_OF_LIGHT

from linksim.blocks.prediction.trained import ProblemShape, TrainingBatch
from linksim.channel.drops import Drops
from linksim.channel.source import training_chunk_of_drops
from linksim.channel.streaming import prefetched
from linksim.errors import ScenarioError
from linksim.link.acquisition import acquire
from linksim.scenario.load import point_scenario, sweep_points
from linksim.scenario.schema import NOT_DRAWN, Acquisition, Channel, Scenario, later_fields
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
        speed_kmh / 3.6 * c.carrier_frequency_ghz * 1e9 / SPEED_OF_LIGHT * c.csi_period_ms * 1e-3
        for c, _ in training_conditions(scenario) for speed_kmh in _speeds_kmh(c)
    )
    return ProblemShape(channel.num_history, channel.num_future, channel.num_subcarriers, cycles)


def _speeds_kmh(channel: Channel) -> list[float]:
    if not channel.files.training_path:
        return [channel.speed_kmh]
    from linksim.channel.files.agreement import training_speeds_kmh

    return training_speeds_kmh(channel)


def num_chunks(scenario: Scenario) -> int:
    """Chunks of training and validation drops; at least ten for each condition.

    :raises ScenarioError: a training file that holds fewer.
    """
    conditions = training_conditions(scenario)
    chunks = max(-(-scenario.training.num_drops // CHUNK), 10 * len(conditions))
    if scenario.channel.files.training_path:
        from linksim.channel.files.agreement import num_training_drops

        held = num_training_drops(conditions[0][0])
        if held < chunks * CHUNK:
            raise ScenarioError(f"{scenario.channel.files.training_path} holds {held} drops, but training takes "
                                f"{chunks * CHUNK} (training.num_drops, at least {10 * CHUNK} for each of "
                                f"{len(conditions)} channels and acquisitions swept)")
    return chunks


def training_seed(scenario: Scenario, channel: Channel, chunk: int) -> int:
    """Seed of a chunk of training drops and of its noise; where drops are stored does not enter it."""
    drawn = channel.model_dump(mode="json", exclude=NOT_DRAWN | later_fields(channel))
    return stream_seed(scenario.training.seed, "training", drawn, chunk)


def condition_of(chunk: int, num_conditions: int) -> tuple[int, bool]:
    """Which condition a chunk is drawn for, and whether it is for validation: every fifth one is."""
    # these are drawn again over the conditions, so that validation sees all of them
    validation = chunk % 5 == 4
    return (chunk // 5 if validation else chunk - chunk // 5) % num_conditions, validation


def training_batches(scenario: Scenario, device: str = "cpu") -> Iterator[tuple[TrainingBatch, bool]]:
    """Chunks of training drops in turn over all conditions; every fifth chunk is for validation.

    :returns: batch, and whether it is for validation.
    """
    conditions = training_conditions(scenario)

    def draw(chunk: int) -> Drops:
        channel, _ = conditions[condition_of(chunk, len(conditions))[0]]
        return training_chunk_of_drops(channel, CHUNK, training_seed(scenario, channel, chunk), chunk, device)

    chunks = range(num_chunks(scenario))
    for chunk, drops in zip(chunks, prefetched(draw, chunks, device), strict=True):
        index, validation = condition_of(chunk, len(conditions))
        channel, acquisition = conditions[index]
        seed = training_seed(scenario, channel, chunk)
        with torch.inference_mode():
            history, _ = acquire(drops.history, acquisition, generator(stream_seed(seed, "acquisition")))
            uplink_future = drops.future if channel.duplex == "tdd" else drops.response(drops.future.time_s)
            yield TrainingBatch(history, drops.future, uplink_future), validation
