"""Training drops of blocks that answer tasks: with where terminals stand."""

from __future__ import annotations

from linksim.blocks.prediction.trained import TrainingBatch
from linksim.channel.source import chunk_of_drops, places_of
from linksim.training.conditions import CHUNK, Chunk, num_chunks
from linksim.training.data import TrainingDrops, selected


class PlacedDrops(TrainingDrops):
    """Drops of ray-traced channels with the places of their terminals."""

    def draw(self, chunk: Chunk, epoch: int = 0) -> TrainingBatch:
        channel, _ = self.conditions[chunk.condition]
        index = chunk.index + epoch * num_chunks(self.scenario, self.training)
        drops = chunk_of_drops(channel, CHUNK, self._seed(chunk, epoch), index, self.device, chunk.split)
        batch = TrainingBatch(drops.history, drops.future, drops.future, places_of(drops, channel))
        return batch if chunk.num_drops == CHUNK else selected(batch, slice(chunk.num_drops))
