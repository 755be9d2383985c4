"""Which drops blocks are trained on: conditions, chunks and their seeds. Nothing is drawn here."""

from __future__ import annotations

from dataclasses import dataclass

from linksim.channel.source import Split, source_of
from linksim.core.errors import ScenarioError
from linksim.core.seeding import stream_seed
from linksim.scenario.channel import Channel
from linksim.scenario.identity import stream_fields
from linksim.scenario.points import point_scenario, sweep_points
from linksim.scenario.schema import Acquisition, Scenario
from linksim.scenario.training import Training
from linksim.training.rules import training_channel

CHUNK = 25
"""Training drops per chunk; part of the stream's identity."""

Condition = tuple[Channel, Acquisition]


@dataclass(frozen=True)
class Chunk:
    """Some training drops of one condition.

    :param index: of the chunk, which names its stream.
    :param condition: number of its condition.
    :param validation: not trained on, but validated.
    :param num_drops: the first of its `CHUNK` drops that are used.
    """

    index: int
    condition: int
    validation: bool
    num_drops: int = CHUNK

    @property
    def split(self) -> Split:
        """The set that its drops are of."""
        return "validation" if self.validation else "training"


def training_conditions(scenario: Scenario, training: Training | None = None) -> list[Condition]:
    """What a scenario's blocks are trained on: every channel and acquisition it sweeps, one user per drop.

    ``training.speeds_kmh`` replaces the scenario's speeds where given, ``training.channel`` other fields; with
    ``training.csi_snr_db`` the acquisition's own SNR says nothing.

    :param training: of a method; the scenario's by default.
    """
    training = training or scenario.training
    found: dict[Condition, None] = {}
    axes = {key: values for key, values in scenario.sweep.items() if key.startswith(("channel.", "acquisition."))}
    channels = scenario.model_copy(update={"sweep": axes})  # other axes change neither
    for point in (point_scenario(channels, point) for point in sweep_points(channels)):
        base = training_channel(point.channel, training.channel)
        acquisition = point.acquisition
        if training.csi_snr_db is not None:
            default = Acquisition.model_fields["csi_snr_db"].default
            acquisition = acquisition.model_copy(update={"csi_snr_db": default})
        for speed in training.speeds_kmh or [base.speed_kmh]:
            # pilots of one user alone would be denser than in the test
            users = base.num_users if acquisition.type == "pilots" else 1
            found[base.model_copy(update={"num_users": users, "speed_kmh": speed}), acquisition] = None
    return list(found)


def num_chunks(scenario: Scenario, training: Training | None = None) -> int:
    """Chunks of training and validation drops; at least ten for each condition.

    :raises ScenarioError: a training file that holds fewer.
    """
    training = training or scenario.training
    conditions = training_conditions(scenario, training)
    chunks = max(-(-training.num_drops // CHUNK), 10 * len(conditions))
    channel = conditions[0][0]
    held = source_of(channel).num_drops(channel, "training")
    if held is not None and held < chunks * CHUNK:
        raise ScenarioError(f"{channel.files.training_path} holds {held} drops, but training takes "
                            f"{chunks * CHUNK} (training.num_drops, at least {10 * CHUNK} for each of "
                            f"{len(conditions)} channels and acquisitions swept)")
    return chunks


def training_chunks(scenario: Scenario, training: Training | None = None) -> list[Chunk]:
    """All chunks in order, cut to ``training.fraction`` of the training drops of every condition.

    :raises ScenarioError: a training file that holds fewer.
    """
    training = training or scenario.training
    count = len(training_conditions(scenario, training))
    chunks = [Chunk(index, *condition_of(index, count)) for index in range(num_chunks(scenario, training))]
    if training.fraction == 1:
        return chunks
    left = [0] * count
    for chunk in chunks:
        left[chunk.condition] += 0 if chunk.validation else CHUNK
    left = [max(1, round(training.fraction * drops)) for drops in left]
    kept = []
    for chunk in chunks:
        if not chunk.validation:
            chunk = Chunk(chunk.index, chunk.condition, False, min(CHUNK, left[chunk.condition]))
            left[chunk.condition] -= chunk.num_drops
        if chunk.num_drops:
            kept.append(chunk)
    return kept


def condition_of(chunk: int, num_conditions: int) -> tuple[int, bool]:
    """Which condition a chunk is drawn for, and whether it is for validation: every fifth one is."""
    # these are drawn again over the conditions, so that validation sees all of them
    validation = chunk % 5 == 4
    return (chunk // 5 if validation else chunk - chunk // 5) % num_conditions, validation


def training_seed(scenario: Scenario, channel: Channel, chunk: int, training: Training | None = None,
                  epoch: int = 0) -> int:
    """Seed of a chunk of training drops and of its noise; where drops are stored does not enter it.

    :param epoch: another one has other drops, for ``training.fresh_drops``.
    """
    fresh = (epoch,) if epoch else ()
    return stream_seed((training or scenario.training).seed, "training", stream_fields(channel), chunk, *fresh)


def condition_names(conditions: list[Condition]) -> list[str]:
    """A short name for each condition: the values that are not the same for all."""
    flat = [_flat({"channel": channel.model_dump(mode="json"), "acquisition": acquisition.model_dump(mode="json")})
            for channel, acquisition in conditions]
    differing = [key for key in flat[0] if len({repr(values[key]) for values in flat}) > 1]
    return [", ".join(f"{key.rpartition('.')[2]} {values[key]}" for key in differing) or "all" for values in flat]


def _flat(section: dict, at: str = "") -> dict:
    found = {}
    for key, value in section.items():
        found |= _flat(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
    return found
