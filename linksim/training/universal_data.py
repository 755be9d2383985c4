"""Training drops of blocks that answer tasks: each with where its terminal stands."""

from __future__ import annotations

from linksim.blocks.prediction.trained import TrainingBatch
from linksim.channel.ray_traced.places import places_of
from linksim.channel.source import training_chunk_of_drops
from linksim.scenario.schema import Method, Scenario
from linksim.scenario.training import Training, merged
from linksim.training.batches import selected
from linksim.training.conditions import CHUNK, Chunk, num_chunks
from linksim.training.data import TrainingDrops


def universal_training(scenario: Scenario, method: Method) -> Training:
    """How a method's block is trained, no field left empty."""
    return merged(scenario.training, method.universal_training)


class PlacedDrops(TrainingDrops):
    """Drops of ray-traced channels with the places of their terminals."""

    def draw(self, chunk: Chunk, epoch: int = 0) -> TrainingBatch:
        channel, _ = self.conditions[chunk.condition]
        index = chunk.index + epoch * num_chunks(self.scenario, self.training)
        drops = training_chunk_of_drops(channel, CHUNK, self._seed(chunk, epoch), index, self.device, chunk.validation)
        batch = TrainingBatch(drops.history, drops.future, drops.future, places_of(drops, channel))
        return batch if chunk.num_drops == CHUNK else selected(batch, slice(chunk.num_drops))
