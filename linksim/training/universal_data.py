"""Blocks that answer tasks: which ones a scenario has, and their training drops, with where terminals stand."""

from __future__ import annotations

from linksim.blocks.prediction.trained import TrainingBatch
from linksim.channel.ray_traced.places import places_of
from linksim.channel.source import training_chunk_of_drops
from linksim.scenario.points import point_scenario, simulated_points
from linksim.scenario.schema import Method, Scenario, simulated_methods, universal_of
from linksim.scenario.training import Training, merged
from linksim.training.conditions import CHUNK, Chunk, num_chunks, swept_name
from linksim.training.data import TrainingDrops, selected


def universal_training(scenario: Scenario, method: Method) -> Training:
    """How a method's block is trained, no field left empty."""
    return merged(scenario.training, method.universal_training)


def universal_key(scenario: Scenario, method: Method) -> str:
    """Methods with the same key have the same block."""
    training = {} if method.universal_training is None else method.universal_training.model_dump(exclude_none=True)
    return repr((universal_of(method), scenario.link.num_streams_per_user, sorted(training.items())))


def universal_methods(scenario: Scenario, only: str | None = None) -> list[tuple[Scenario, Method]]:
    """The methods that answer tasks or teach those that do, each in the scenario as it is for its block, sweeps over
    channels left in; where a sweep changes a block, one for each value, which its name then says.

    :param only: the name of a method, with its swept values or without; the others are left out.
    """
    found: dict[tuple[str, str], tuple[Scenario, Method]] = {}
    for point in simulated_points(scenario):
        resolved = point_scenario(scenario, point)
        there = scenario.model_copy(update={"methods": resolved.methods, "link": resolved.link})
        for method in simulated_methods(resolved):
            if method.universal is not None:
                name = swept_name(scenario, method.name, "universal_training", point)
                if only in (None, method.name, name):
                    found.setdefault((method.name, universal_key(there, method)),
                                     (there, method.model_copy(update={"name": name})))
    return list(found.values())


class PlacedDrops(TrainingDrops):
    """Drops of ray-traced channels with the places of their terminals."""

    def draw(self, chunk: Chunk, epoch: int = 0) -> TrainingBatch:
        channel, _ = self.conditions[chunk.condition]
        index = chunk.index + epoch * num_chunks(self.scenario, self.training)
        drops = training_chunk_of_drops(channel, CHUNK, self._seed(chunk, epoch), index, self.device, chunk.validation)
        batch = TrainingBatch(drops.history, drops.future, drops.future, places_of(drops, channel))
        return batch if chunk.num_drops == CHUNK else selected(batch, slice(chunk.num_drops))
